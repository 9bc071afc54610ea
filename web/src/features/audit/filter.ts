/** Which entries of the audit log are wanted: in the address, so that it can be sent to somebody. */
import type { AuditFilter } from '@/api/audit'

export type Filter = AuditFilter

const KEYS = ['by', 'action', 'from', 'to'] as const

/** Kinds of actions, to choose from; each part of one is an action as well. */
export const KINDS = [
  'rule.*',
  'list.*',
  'policy.put',
  'rulebook.*',
  'model.promote',
  'retraining.*',
  'alert.*',
  'decision.*',
  'entity.read',
  'rejection.list',
  'live.watch',
  'generate.*',
  'session.*',
  'key.*',
  'erasure',
  'audit.read',
] as const

export function filterOf(query: URLSearchParams): Filter {
  const [by = '', action = '', from = '', to = ''] = KEYS.map((key) => query.get(key)?.trim() ?? '')
  return { by, action, from, to }
}

/** As it stands in the address; empty for no filter. */
export function queryOf(filter: Filter) {
  const set = KEYS.map((key) => [key, key === 'from' || key === 'to' ? instantOf(filter[key]) : filter[key].trim()] as const)
  const query = new URLSearchParams(set.filter(([, value]) => value !== '').map(([key, value]) => [key, value])).toString()
  return query === '' ? '' : `?${query}`
}

/** A control of dates has no zone: the page's times are UTC. */
function instantOf(typed: string) {
  if (typed === '' || /(Z|[+-]\d\d:\d\d)$/.test(typed)) return typed
  return `${typed.length === 16 ? `${typed}:00` : typed}Z`
}

export function typedTime(instant: string) {
  const date = new Date(instantOf(instant))
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().slice(0, 19)
}

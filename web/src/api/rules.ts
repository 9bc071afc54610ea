/** Requests about rules, lists and policy. Each change says for which rulebook it was made (`after`), who wants it and why. */
import { request, withBody } from './client'
import type {
  BacktestReport,
  BacktestRequest,
  ListEntry,
  ListPage,
  ListRequest,
  PolicyText,
  RulebookHistory,
  RulebookNote,
  RuleRequest,
  RulesInForce,
  StageRequest,
} from './types'

/** What every change says beside what it changes. */
export interface Signed {
  by: string
  reason: string
  /** The number of the rulebook that it was made for. */
  after: number
}

const named = (kind: 'rules' | 'lists', name: string) => `/v1/${kind}/${encodeURIComponent(name)}`

const change = (path: string, method: 'POST' | 'PUT', body: unknown) => request<RulebookNote>(path, withBody(method, body))

export function getRules(signal: AbortSignal) {
  return request<RulesInForce>('/v1/rules', { signal })
}

export function listRulebooks(signal: AbortSignal) {
  return request<RulebookHistory>('/v1/rulebooks', { signal })
}

export function putRule(name: string, rule: RuleRequest & Signed) {
  return change(named('rules', name), 'PUT', rule)
}

/** What history says of a rule; changes nothing. */
export function tryRule(rule: BacktestRequest) {
  return request<BacktestReport>('/v1/rules/backtest', withBody('POST', rule))
}

export function moveRule(name: string, wanted: StageRequest & Signed) {
  return change(`${named('rules', name)}/stage`, 'POST', wanted)
}

/** Values that contain the text, those that were put there first; the server shows 1000 at the most. */
export function getList(name: string, contains: string, limit: number, signal: AbortSignal) {
  const query = new URLSearchParams({ ...(contains && { contains }), limit: String(limit) })
  return request<ListPage>(`${named('lists', name)}?${query.toString()}`, { signal })
}

export function putList(name: string, list: ListRequest & Signed) {
  return change(named('lists', name), 'PUT', list)
}

export function dropList(name: string, signed: Signed) {
  return change(`${named('lists', name)}/drop`, 'POST', signed)
}

export function enlist(name: string, entries: readonly ListEntry[], signed: Signed) {
  return change(`${named('lists', name)}/entries`, 'POST', { entries, ...signed })
}

export function delist(name: string, values: readonly string[], signed: Signed) {
  return change(`${named('lists', name)}/removals`, 'POST', { values, ...signed })
}

export function putPolicy(policy: PolicyText, signed: Signed) {
  return change('/v1/policy', 'PUT', { policy, ...signed })
}

/** Publishes an earlier rulebook again; 0 is the detector file's own. */
export function restore(number: number, signed: Signed) {
  return change(`/v1/rulebooks/${number}/restore`, 'POST', signed)
}

/** Requests about the audit log. */
import { request } from './client'
import type { AuditPage } from './types'

export interface AuditFilter {
  by: string
  /** An action, as `decision.read`, or all of a kind, as `rule.*`. */
  action: string
  /** RFC 3339; empty for no bound. */
  from: string
  to: string
}

/** A page of it, the newest first; `cursor` is the page before's `next_cursor`. */
export function listAudit(filter: AuditFilter, cursor: string | null, signal: AbortSignal) {
  const wanted = Object.entries({ ...filter, cursor: cursor ?? '', limit: '100' }).filter(([, value]) => value !== '')
  return request<AuditPage>(`/v1/audit?${new URLSearchParams(wanted).toString()}`, { signal })
}

/** Requests about models that are trained again. */
import { request, withBody } from './client'
import type { Retraining, RetrainingRun } from './types'

export interface Wanted {
  by: string
  reason: string
}

export function getRetraining(signal: AbortSignal) {
  return request<Retraining>('/v1/retraining', { signal })
}

export function startRun(wanted: Wanted) {
  return request<RetrainingRun>('/v1/retraining/runs', withBody('POST', wanted))
}

/** Ends a run, or promotes the challenger of one that waits for a person. */
export function settleRun(id: string, how: 'cancel' | 'approve', wanted: Wanted) {
  return request<RetrainingRun>(`/v1/retraining/runs/${encodeURIComponent(id)}/${how}`, withBody('POST', wanted))
}

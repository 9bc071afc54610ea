/** Requests about one decision looked at closely: what each feature did, whether it comes out again, what would have been. */
import { request, withBody } from './client'
import type { Contributions, DecisionPage, DetectorInfo, ReplayVerdict, WhatIf, WhatIfRequest } from './types'

export function getDetector(signal: AbortSignal) {
  return request<DetectorInfo>('/v1/detector', { signal })
}

/** What every feature adds to the margin, for fraud and against it. */
export function getContributions(id: string, signal: AbortSignal) {
  return request<Contributions>(`${doorsOf(id)}/contributions`, { signal })
}

/** Replays the log up to the decision, so it may take a second for every million entries. */
export function replayDecision(id: string) {
  return request<ReplayVerdict>(`${doorsOf(id)}/replay`, { method: 'POST' })
}

export function askWhatIf(id: string, changes: WhatIfRequest['changes']) {
  return request<WhatIf>(`${doorsOf(id)}/what-if`, withBody('POST', { changes }))
}

/** Decisions of one key by event time, newest first. `from` and `to` in ms since the epoch; `to` is no longer in it. */
export function listOfKey(key: string, from: number, to: number, limit: number, signal: AbortSignal) {
  const times = { from: new Date(from).toISOString(), to: new Date(to).toISOString() }
  const query = new URLSearchParams({ key, ...times, limit: String(limit) })
  return request<DecisionPage>(`/v1/decisions?${query.toString()}`, { signal })
}

function doorsOf(id: string) {
  return `/v1/decisions/${encodeURIComponent(id)}`
}

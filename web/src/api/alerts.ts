/** Requests about alerts: the queue, one of them, and what people do with them. */
import { asRequestError, request, withBody, type RequestError } from './client'
import type { Alert, AlertConflict, AlertDetail, AlertPage, AlertRequest } from './types'

export function listAlerts(query: URLSearchParams, signal: AbortSignal) {
  return request<AlertPage>(`/v1/alerts?${query.toString()}`, { signal })
}

/** Alerts of one entity that nobody has closed yet. */
export function listWaiting(entity: string, signal: AbortSignal) {
  return listAlerts(new URLSearchParams({ entity, state: 'waiting' }), signal)
}

export function getAlert(id: string | number, signal: AbortSignal) {
  return request<AlertDetail>(doorOf(id), { signal })
}

export function changeAlert(id: number, change: AlertRequest) {
  return request<Alert>(doorOf(id), withBody('PATCH', change))
}

/** The alert with the greatest expected loss on which nobody works, now assigned; null where none waits. */
export function nextAlert(by: string) {
  return request<Alert | null>('/v1/alerts/next', withBody('POST', { by }))
}

/** What a change came to: the alert after it, how it is because somebody else was first, or why nothing was done. */
export type Changed =
  | { done: true; alert: Alert }
  | { done: false; conflict: AlertConflict; error: RequestError }
  | { done: false; conflict: null; error: RequestError }

export async function tryChange(id: number, change: AlertRequest): Promise<Changed> {
  try {
    return { done: true, alert: await changeAlert(id, change) }
  } catch (caught) {
    const error = asRequestError(caught)
    return { done: false, conflict: conflictOf(error), error }
  }
}

/** The document of a 409 carries the alert as it is. */
function conflictOf({ problem }: RequestError): AlertConflict | null {
  return problem.status === 409 && 'alert' in problem ? (problem as AlertConflict) : null
}

function doorOf(id: string | number) {
  return `/v1/alerts/${encodeURIComponent(id)}`
}

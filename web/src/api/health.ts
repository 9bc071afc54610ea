/** Requests about the service itself. */
import { request } from './client'
import type { Health, RejectionPage } from './types'

export function getHealth(signal: AbortSignal) {
  return request<Health>('/v1/health', { signal })
}

/** The newest rejections, this many; their kinds count all of them. */
export function listRejections(limit: number, signal: AbortSignal) {
  return request<RejectionPage>(`/v1/rejections?limit=${limit}`, { signal })
}

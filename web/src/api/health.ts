/** Requests about the service itself. */
import { request } from './client'
import type { Health, RejectionPage } from './types'

export function getHealth(signal: AbortSignal) {
  return request<Health>('/v1/health', { signal })
}

/** Rejections that are listed one by one; their kinds count all of them. */
const REJECTIONS_MAX = 50

export function listRejections(signal: AbortSignal) {
  return request<RejectionPage>(`/v1/rejections?limit=${REJECTIONS_MAX}`, { signal })
}

/** Requests about models: what there is, how they fare, what they are to do. */
import { request, withBody } from './client'
import type { Drift, ModelList, ModelPromotion, Performance, PromoteRequest } from './types'

export function listModels(signal: AbortSignal) {
  return request<ModelList>('/v1/models', { signal })
}

/** Champion and challengers on what became known. The first answer after a while takes the server a second or two. */
export function getPerformance(signal: AbortSignal) {
  return request<Performance>('/v1/models/performance', { signal })
}

export function getDrift(signal: AbortSignal) {
  return request<Drift>('/v1/models/drift', { signal })
}

export function promoteModel(id: string, wanted: Required<PromoteRequest>) {
  return request<ModelPromotion>(`/v1/models/${encodeURIComponent(id)}/promote`, withBody('POST', wanted))
}

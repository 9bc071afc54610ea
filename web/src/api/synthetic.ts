/** Requests about made transactions: what makes them, jobs, files, and how they compare with real ones. */
import { request, requestFile, withBody } from './client'
import type { DecisionPage, Generation, GenerationList, GenerationRequest, GeneratorList, SyntheticReport } from './types'

export const FILE_FORMATS = ['csv', 'jsonl', 'parquet'] as const
export type FileFormat = (typeof FILE_FORMATS)[number]

export function listGenerators(signal: AbortSignal) {
  return request<GeneratorList>('/v1/generators', { signal })
}

export function listGenerations(signal: AbortSignal) {
  return request<GenerationList>('/v1/generate', { signal })
}

/** Begins a job that sends transactions down the live stream. */
export function startGeneration(wanted: GenerationRequest) {
  return request<Generation>('/v1/generate', withBody('POST', { ...wanted, to: 'stream' }))
}

/** Stops a job. What it has sent stays. */
export function cancelGeneration(id: string) {
  return request<Generation>(`/v1/generate/${encodeURIComponent(id)}`, { method: 'DELETE' })
}

/** A file of transactions, and its name. */
export function generateFile(wanted: GenerationRequest, format: FileFormat, signal: AbortSignal) {
  return requestFile('/v1/generate', { ...withBody('POST', { ...wanted, to: 'file', format }), signal })
}

/** The newest decisions on what carries this mark. */
export function listMade(mark: string, limit: number, signal: AbortSignal) {
  const query = new URLSearchParams({ synthetic: mark, limit: String(limit) })
  return request<DecisionPage>(`/v1/decisions?${query.toString()}`, { signal })
}

/** Made transactions beside real ones; without a mark all that were made. The server works on it for up to 15 s. */
export function compareWithReal(mark: string | null, signal: AbortSignal) {
  const query = mark === null ? '' : `?${new URLSearchParams({ synthetic: mark }).toString()}`
  return request<SyntheticReport>(`/v1/generate/report${query}`, { method: 'POST', signal })
}

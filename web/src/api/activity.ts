/** Requests about what happened over time. */
import { request } from './client'
import type { Activity, ActivityStep } from './types'

export interface ActivityQuestion {
  /** ms since the epoch; null: from the first decision of all. */
  from: number | null
  to: number
  step: (from: number, to: number) => ActivityStep
  /** Only made-up decisions, only real ones, or (null) both. */
  synthetic: boolean | null
}

export async function getActivity(question: ActivityQuestion, signal: AbortSignal) {
  const from = question.from ?? (await firstDecision(question.to, signal))
  const query = new URLSearchParams({
    from: new Date(from).toISOString(),
    to: new Date(question.to).toISOString(),
    step: question.step(from, question.to),
  })
  if (question.synthetic !== null) query.set('synthetic', String(question.synthetic))
  return request<Activity>(`/v1/activity?${query.toString()}`, { signal })
}

/** When the history begins; without any, an hour ago. */
async function firstDecision(now: number, signal: AbortSignal) {
  const { first } = await request<Activity>('/v1/activity?step=hour', { signal })
  return first ? Date.parse(first) : now - 3_600_000
}

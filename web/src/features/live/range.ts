/** The range of time that the live page shows, as the address has it. */
import type { ActivityStep } from '@/api/types'

export const RANGES = [
  { value: 'live', text: 'Live', length_ms: 300_000 },
  { value: '15m', text: '15 min', length_ms: 900_000 },
  { value: '1h', text: '1 h', length_ms: 3_600_000 },
  { value: '6h', text: '6 h', length_ms: 21_600_000 },
  { value: '24h', text: '24 h', length_ms: 86_400_000 },
  { value: '7d', text: '7 d', length_ms: 604_800_000 },
  { value: 'all', text: 'All time', length_ms: null },
] as const

export type RangeName = (typeof RANGES)[number]['value']

export type Range = { name: RangeName } | { name: 'between'; from: number; to: number }

export interface Bounds {
  /** ms since the epoch; null: from the first decision of all. */
  from: number | null
  to: number
}

export const STEP_MS: Record<ActivityStep, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 }

/** Minutes are kept for two days; a range that began just before is asked by the hour. */
const MINUTES_KEPT_MS = 2 * 86_400_000
const MINUTES_LENGTH_MS = 6 * 3_600_000
const HOURS_LENGTH_MS = 14 * 86_400_000

export function readRange(query: URLSearchParams): Range {
  const from = Date.parse(query.get('from') ?? '')
  const to = Date.parse(query.get('to') ?? '')
  if (from < to) return { name: 'between', from, to }
  const asked = query.get('range')
  return { name: RANGES.find(({ value }) => value === asked)?.value ?? 'live' }
}

/** The address with another range; what else it says stays. */
export function placeOfRange(query: URLSearchParams, range: Range) {
  const next = new URLSearchParams(query)
  for (const name of ['range', 'from', 'to']) next.delete(name)
  if (range.name === 'between') {
    next.set('from', new Date(range.from).toISOString())
    next.set('to', new Date(range.to).toISOString())
  } else if (range.name !== 'live') next.set('range', range.name)
  return placeWith(next)
}

/** The address with one choice changed; null takes it out. */
export function placeOfChoice(query: URLSearchParams, name: string, value: string | null) {
  const next = new URLSearchParams(query)
  if (value === null) next.delete(name)
  else next.set(name, value)
  return placeWith(next)
}

export function readSynthetic(query: URLSearchParams): boolean | null {
  const asked = query.get('synthetic')
  return asked === 'true' ? true : asked === 'false' ? false : null
}

export function boundsOf(range: Range, now: number): Bounds {
  if (range.name === 'between') return { from: range.from, to: range.to }
  const length = RANGES.find(({ value }) => value === range.name)?.length_ms ?? null
  return { from: length === null ? null : now - length, to: now }
}

export function stepOf(from: number, to: number, now: number): ActivityStep {
  const length = to - from
  if (length <= MINUTES_LENGTH_MS && from >= now - MINUTES_KEPT_MS) return 'minute'
  return length <= HOURS_LENGTH_MS ? 'hour' : 'day'
}

/** The range beside it, just as long. Nothing is later than now. */
export function moved(bounds: { from: number; to: number }, direction: -1 | 1, now: number): Range {
  const length = bounds.to - bounds.from
  const to = Math.min(bounds.to + direction * length, now)
  return { name: 'between', from: to - length, to }
}

export function reachesNow(range: Range, now: number) {
  return range.name !== 'between' || range.to >= now
}

function placeWith(query: URLSearchParams) {
  const text = query.toString()
  return text ? `/?${text}` : '/'
}

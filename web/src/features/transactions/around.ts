import type { Decision, DecisionSummary } from '@/api/types'
import { dateTime } from '@/components/ui/times'

/** A stretch of event time, in ms since the epoch; `to` is no longer in it. */
export interface Stretch {
  from: number
  to: number
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const WIDEST_MS = 730 * DAY_MS
const NARROWEST_MS = HOUR_MS

/** Four days with the moment in their middle. */
export function stretchAround(moment: string): Stretch {
  const at = Date.parse(moment)
  return { from: at - 2 * DAY_MS, to: at + 2 * DAY_MS }
}

/** By half of what is in sight: the other half stays to hold on to. */
export function moved({ from, to }: Stretch, direction: -1 | 1): Stretch {
  const by = (direction * (to - from)) / 2
  return { from: from + by, to: to + by }
}

/** As long by `times`, around the same middle. */
export function scaled({ from, to }: Stretch, times: number): Stretch {
  const half = Math.min(WIDEST_MS, Math.max(NARROWEST_MS, (to - from) * times)) / 2
  const middle = (from + to) / 2
  return { from: middle - half, to: middle + half }
}

/** Decisions in their order of time, with this one even where the list was cut before it. */
export function inOrder(items: readonly DecisionSummary[], decision: Decision, { from, to }: Stretch): DecisionSummary[] {
  const at = Date.parse(decision.event_time)
  const lacks = at >= from && at < to && !items.some(({ id }) => id === decision.id)
  const all = lacks ? [...items, decision] : [...items]
  return all.sort((a, b) => Date.parse(a.event_time) - Date.parse(b.event_time))
}

/** Where a point stands, as parts of the strip. */
export function placeIn({ from, to }: Stretch, top: number, { event_time, amount }: DecisionSummary) {
  return { x: (Date.parse(event_time) - from) / (to - from), y: top > 0 ? amount / top : 0 }
}

/** A round number that all amounts are under: 1, 2 or 5 with zeros. */
export function topOf(items: readonly DecisionSummary[]) {
  const largest = items.reduce((most, { amount }) => Math.max(most, amount), 0)
  if (largest === 0) return 1
  const decade = 10 ** Math.floor(Math.log10(largest))
  return ([1, 2, 5, 10].find((step) => step * decade >= largest) ?? 10) * decade
}

/** Between marks of the axis: parts of a day, then days, weeks and so on. */
const STEPS_MS = [HOUR_MS / 4, HOUR_MS, 3 * HOUR_MS, 6 * HOUR_MS, 12 * HOUR_MS, ...[1, 2, 4, 7, 14, 30, 60, 120, 365].map((days) => days * DAY_MS)]

/** Round moments in the stretch, few enough to be read. */
export function marksOf({ from, to }: Stretch, most: number): { at: number; text: string }[] {
  const step = STEPS_MS.find((step) => (to - from) / step <= most) ?? (to - from) / most
  const first = Math.ceil(from / step) * step
  const count = Math.max(0, Math.ceil((to - first) / step))
  return Array.from({ length: count }, (_, i) => first + i * step).map((at) => ({ at, text: markText(at, to - from) }))
}

/** A time of day between midnights, a date at them; of a long stretch with its year. */
function markText(at: number, span: number) {
  const text = dateTime(at)
  if (at % DAY_MS !== 0) return text.slice(11, 16)
  return span > 300 * DAY_MS ? text.slice(0, 10) : text.slice(5, 10)
}

/** What happened in a range, as the lines and bars of the charts. */
import type { Activity, ActivityCounts, ActivityPoint } from '@/api/types'
import type { ChartTable } from '@/components/charts/ChartMenu'
import type { TimeData } from '@/components/charts/TimeChart'
import { STEP_MS } from './range'

export interface Step {
  /** Seconds since the epoch. */
  at: number
  /** Null where nothing was decided. */
  counts: ActivityCounts | null
}

/** Every step of the range: the answer leaves out those in which nothing was decided. */
export function allSteps({ from, to, step, points }: Pick<Activity, 'from' | 'to' | 'step' | 'points'>): Step[] {
  const known = new Map<number, ActivityPoint>(points.map((point) => [Date.parse(point.at), point]))
  const steps: Step[] = []
  for (let at = Date.parse(from); at < Date.parse(to); at += STEP_MS[step]) {
    steps.push({ at: at / 1_000, counts: known.get(at) ?? null })
  }
  return steps
}

export function volumes(steps: readonly Step[]): TimeData {
  return { at: times(steps), values: [pick(steps, 'decisions')] }
}

/** Declined drawn at the foot of in review. */
export function flagged(steps: readonly Step[]): TimeData {
  return stacked(steps, 'in_review', 'declined')
}

export function frauds(steps: readonly Step[]): TimeData {
  return { at: times(steps), values: [pick(steps, 'frauds')] }
}

/** What is certain drawn at the foot of what is expected. */
export function savings(steps: readonly Step[]): TimeData {
  return stacked(steps, 'expected_saved_amount', 'saved_amount')
}

export function stepTable(steps: readonly Step[], names: readonly (keyof ActivityCounts)[]): ChartTable {
  const rows = steps.map(({ at, counts }) => [new Date(at * 1_000).toISOString(), ...names.map((name) => counts?.[name] ?? 0)])
  return { columns: ['at', ...names], rows }
}

function stacked(steps: readonly Step[], above: keyof ActivityCounts, foot: keyof ActivityCounts): TimeData {
  const high = pick(steps, above)
  const low = pick(steps, foot)
  return { at: times(steps), values: [high, low], drawn: [high.map((value, i) => value + (low[i] ?? 0)), low] }
}

const times = (steps: readonly Step[]) => steps.map(({ at }) => at)

const pick = (steps: readonly Step[], name: keyof ActivityCounts) => steps.map(({ counts }) => counts?.[name] ?? 0)

/** Decisions by score, in equal bins over 0 to 1. */
export function scoreTable(bins: readonly number[]): ChartTable {
  const edge = (index: number) => (index / bins.length).toFixed(2)
  return { columns: ['from', 'to', 'decisions'], rows: bins.map((n, i) => [edge(i), edge(i + 1), n]) }
}

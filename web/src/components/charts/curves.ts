/** Curves with points at different places, brought into the one table of values that a plot wants. */
import { ceilingAbove } from './axes'
import type { Token } from './palette'

export type CurvePoint = readonly [x: number, y: number]

export interface Curve {
  name: string
  token: Token
  /** Lengths of strokes and gaps, so that curves differ in more than colour. */
  dash?: readonly number[]
  shape?: 'line' | 'dots'
  /** Along x. */
  points: readonly CurvePoint[]
}

export interface AxisSpec {
  name: string
  format: (value: number) => string
  /** Shorter than `format`: the marks of the axis are round. */
  mark: (value: number) => string
  /** By default what the data needs. */
  range?: [number, number]
  log?: boolean
}

export interface Scale {
  low: number
  high: number
}

/** Colours of curves side by side; the sixth and later ones begin again, with other strokes. */
const TOKENS: readonly Token[] = ['--curve-1', '--curve-2', '--curve-3', '--curve-4', '--curve-5']
const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4]]

/** How the curve of this number looks: the first one is drawn through. */
export function lookOf(index: number): { token: Token; dash: readonly number[] } {
  const round = Math.floor(index / TOKENS.length)
  const token = TOKENS[index % TOKENS.length] ?? '--curve-1'
  return { token, dash: DASHES[(index + round) % DASHES.length] ?? [] }
}

/**
 * A list of places and one list of values for each curve, as long. A place at which a curve rises straight up stands there as
 * often as the curve has points at it; a value that a curve does not have is `undefined`.
 */
export function align(curves: readonly (readonly CurvePoint[])[]): (number | undefined)[][] {
  const often = new Map<number, number>()
  for (const points of curves) {
    for (const [x, times] of counted(points)) often.set(x, Math.max(times, often.get(x) ?? 0))
  }
  const places = [...often].sort(([a], [b]) => a - b)
  const starts = new Map<number, number>()
  const xs: number[] = []
  for (const [x, times] of places) {
    starts.set(x, xs.length)
    for (let i = 0; i < times; i++) xs.push(x)
  }
  return [xs, ...curves.map((points) => placed(points, starts, xs.length))]
}

function counted(points: readonly CurvePoint[]) {
  const times = new Map<number, number>()
  for (const [x] of points) times.set(x, (times.get(x) ?? 0) + 1)
  return times
}

function placed(points: readonly CurvePoint[], starts: ReadonlyMap<number, number>, length: number) {
  const values = Array.from<number | undefined>({ length })
  const next = new Map(starts)
  for (const [x, y] of points) {
    const at = next.get(x) ?? 0
    values[at] = y
    next.set(x, at + 1)
  }
  return values
}

/** The point nearest to `x`; of several at the same place the last one. */
export function nearest(points: readonly CurvePoint[], x: number): CurvePoint | undefined {
  let best: CurvePoint | undefined
  for (const point of points) {
    if (!best || Math.abs(point[0] - x) <= Math.abs(best[0] - x)) best = point
  }
  return best
}

/** The ends of an axis: round numbers around the data, powers of ten on a logarithmic one. */
export function scaleOf({ range, log }: AxisSpec, curves: readonly Curve[]): Scale {
  if (range) return { low: range[0], high: range[1] }
  const values = curves.flatMap(({ points }) => points.map(([, y]) => y)).filter((y) => Number.isFinite(y) && (!log || y > 0))
  if (values.length === 0) return log ? { low: 1, high: 10 } : { low: 0, high: 1 }
  const low = values.reduce((a, b) => Math.min(a, b))
  const high = values.reduce((a, b) => Math.max(a, b))
  if (!log) return { low: low < 0 ? -ceilingAbove(-low) : 0, high: high > 0 ? ceilingAbove(high) : 0 }
  const first = Math.floor(Math.log10(low))
  return { low: 10 ** first, high: 10 ** Math.max(first + 1, Math.ceil(Math.log10(high))) }
}

import type { Contribution, Contributions } from '@/api/types'

/** A bar of the chart: a feature, or all that are left together. */
export interface Bar {
  name: string
  text: string
  contribution: number
}

/** What is in sight before more is asked for. */
export const BARS_FIRST = 12

/** The largest by size, and the rest as one: what is shown still adds up from base to margin. */
export function barsOf({ contributions }: Contributions, all: boolean): Bar[] {
  const bars = contributions.map(barOf)
  // A rest of one is no shorter than the one.
  if (all || bars.length <= BARS_FIRST + 1) return bars
  const rest = bars.slice(BARS_FIRST)
  const sum = rest.reduce((total, { contribution }) => total + contribution, 0)
  return [...bars.slice(0, BARS_FIRST), { name: `${rest.length} others`, text: 'together', contribution: sum }]
}

function barOf({ feature, text, contribution }: Contribution): Bar {
  return { name: feature, text, contribution }
}

/** Where bars stand, as parts of the room they have: zero, and the scale of both sides. */
export interface Reach {
  zero: number
  /** Part of the room for a contribution of one. */
  scale: number
}

/** A side without bars keeps a tenth of the room, so that it is seen that nothing is there. */
const SIDE_MIN = 0.1

export function reachOf(bars: readonly Bar[]): Reach {
  const values = bars.map(({ contribution }) => contribution)
  const [against, towards] = [-Math.min(0, ...values), Math.max(0, ...values)]
  const all = against + towards
  if (all === 0) return { zero: 0.5, scale: 0 }
  const zero = Math.min(1 - SIDE_MIN, Math.max(SIDE_MIN, against / all))
  const scales = [against > 0 ? zero / against : Infinity, towards > 0 ? (1 - zero) / towards : Infinity]
  return { zero, scale: Math.min(...scales) }
}

/** How long a bar is, as a part of the room. */
export function lengthOf({ contribution }: Bar, { scale }: Reach) {
  return Math.abs(contribution) * scale
}

/** Text that fits a width, by what letters take on average; shortened at its end. */
export function fitted(text: string, width: number, letter: number) {
  const letters = Math.max(1, Math.floor(width / letter))
  return text.length <= letters ? text : `${text.slice(0, letters - 1).trimEnd()}…`
}

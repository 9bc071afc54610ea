/** The server's timeline of seconds, as the lines and bars of the charts. */
import type { TimelinePoint } from '@/api/types'
import type { ChartTable } from '@/components/charts/ChartMenu'
import type { TimeData } from '@/components/charts/TimeChart'

/** Alerts are rare: by the second they are a comb of ones and zeros, by five seconds a rate one can read. */
export const ALERT_BIN_S = 5
/** A share of few decisions jumps about, so it is taken over this many seconds. */
export const SHARE_WINDOW_S = 30
/** At the start of the timeline the window is not yet full; shorter than this its share says nothing. */
const SHARE_LEAST_S = 10

interface Second {
  at: number
  decisions: number
  in_review: number
  declined: number
  labelled_fraud: number
}

/** The second that is still being counted would show as a fall at the end of every line, so it is left out. */
export function finishedSeconds(timeline: readonly TimelinePoint[], now: string): Second[] {
  const current = Math.floor(Date.parse(now) / 1_000)
  return timeline
    .map((point) => ({ ...point, at: Math.floor(Date.parse(point.at) / 1_000) }))
    .filter((point) => point.at < current)
}

export function throughput(seconds: readonly Second[]): TimeData {
  return { at: seconds.map(({ at }) => at), values: [seconds.map(({ decisions }) => decisions)] }
}

/** Means per second over fixed bins, declined drawn at the foot of in review. */
export function alerts(seconds: readonly Second[]): TimeData {
  const bins = new Map<number, { seconds: number; in_review: number; declined: number }>()
  for (const second of seconds) {
    const at = Math.floor(second.at / ALERT_BIN_S) * ALERT_BIN_S
    const bin = bins.get(at) ?? { seconds: 0, in_review: 0, declined: 0 }
    bin.seconds += 1
    bin.in_review += second.in_review
    bin.declined += second.declined
    bins.set(at, bin)
  }
  const rows = [...bins.values()]
  const inReview = rows.map((bin) => bin.in_review / bin.seconds)
  const declined = rows.map((bin) => bin.declined / bin.seconds)
  const both = inReview.map((rate, i) => rate + (declined[i] ?? 0))
  return { at: [...bins.keys()], values: [inReview, declined], drawn: [both, declined] }
}

/** Of the decisions of the last half minute: the share flagged (review or decline), and the share labelled fraud. */
export function shares(seconds: readonly Second[]): TimeData {
  const flagged: (number | null)[] = []
  const fraud: (number | null)[] = []
  const sum = { decisions: 0, flagged: 0, fraud: 0 }
  seconds.forEach((second, i) => {
    add(sum, second, 1)
    const left = seconds[i - SHARE_WINDOW_S]
    if (left) add(sum, left, -1)
    const enough = i + 1 >= SHARE_LEAST_S && sum.decisions > 0
    flagged.push(enough ? sum.flagged / sum.decisions : null)
    fraud.push(enough ? sum.fraud / sum.decisions : null)
  })
  return { at: seconds.map(({ at }) => at), values: [flagged, fraud] }
}

function add(sum: { decisions: number; flagged: number; fraud: number }, second: Second, sign: 1 | -1) {
  sum.decisions += sign * second.decisions
  sum.flagged += sign * (second.in_review + second.declined)
  sum.fraud += sign * second.labelled_fraud
}

/** The seconds behind the charts, for who takes them away. */
export function secondTable(seconds: readonly Second[]): ChartTable {
  const rows = seconds.map(({ at, decisions, in_review, declined, labelled_fraud }) => [iso(at), decisions, in_review, declined, labelled_fraud])
  return { columns: ['at', 'decisions', 'in_review', 'declined', 'labelled_fraud'], rows }
}

export function shareTable({ at, values: [flagged = [], fraud = []] }: TimeData): ChartTable {
  return { columns: ['at', 'flagged_share', 'fraud_share'], rows: at.map((second, i) => [iso(second), flagged[i] ?? null, fraud[i] ?? null]) }
}

function iso(second: number) {
  return new Date(second * 1_000).toISOString()
}

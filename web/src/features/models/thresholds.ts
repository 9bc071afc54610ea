/** Which threshold would have done what is wanted: arithmetic on the points that the server measured. */
import type { ThresholdPoint } from '@/api/types'

/** The point nearest to a score; −1 without points. */
export function nearestIndex(points: readonly ThresholdPoint[], score: number) {
  let best = -1
  let distance = Infinity
  points.forEach((point, i) => {
    if (Math.abs(point.score - score) >= distance) return
    best = i
    distance = Math.abs(point.score - score)
  })
  return best
}

/** The lowest threshold with at most half the alerts of the present one; none where there are no alerts to halve. */
export function halvesAlerts(points: readonly ThresholdPoint[], present: number) {
  const now = points[present]?.alerts_per_day ?? 0
  if (now <= 0) return null
  return found(points.findIndex(({ alerts_per_day }, i) => i > present && alerts_per_day <= now / 2))
}

/** The threshold that costs least; of equally cheap ones the highest, which asks fewest people. Null without costs. */
export function cheapest(points: readonly ThresholdPoint[]) {
  let best: number | null = null
  let least = Infinity
  points.forEach(({ cost_per_day }, i) => {
    if (cost_per_day == null || cost_per_day > least) return
    best = i
    least = cost_per_day
  })
  return best
}

/** The highest threshold that finds at least this share of the frauds. */
export function reachesRecall(points: readonly ThresholdPoint[], recall: number) {
  return found(points.findLastIndex((point) => (point.recall ?? -1) >= recall))
}

function found(index: number) {
  return index < 0 ? null : index
}

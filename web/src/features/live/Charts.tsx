import { useMemo, useState } from 'react'
import { useLive } from '@/api/store'
import type { Stats } from '@/api/types'
import { Histogram } from '@/components/charts/Histogram'
import { PercentileStrip } from '@/components/charts/PercentileStrip'
import { TimeChart, type TimeChartSpec } from '@/components/charts/TimeChart'
import { Panel } from '@/components/ui/Panel'
import { count, countShort, percent, rate } from '@/components/ui/numbers'
import { scoreTable } from './activitySeries'
import { Charted } from './Charted'
import { ALERT_BIN_S, alerts, finishedSeconds, secondTable, SHARE_WINDOW_S, shares, shareTable, throughput } from './series'

const WINDOW_S = 299

const throughputSpec: TimeChartSpec = {
  label: 'Decisions per second over the last five minutes',
  series: [{ name: 'Decisions', token: '--chart-volume', shape: 'area' }],
  format: count,
  mark: countShort,
  sayTimes: false,
  window_s: WINDOW_S,
  top_min: 10,
}

const alertsSpec: TimeChartSpec = {
  label: 'Alerts per second over the last five minutes',
  series: [
    { name: 'In review', token: '--review', shape: 'bars' },
    { name: 'Declined', token: '--decline', shape: 'bars' },
  ],
  format: rate,
  mark: countShort,
  sayTimes: true,
  window_s: WINDOW_S,
  top_min: 1,
}

const sharesSpec: TimeChartSpec = {
  label: 'Flagged and fraudulent share of decisions over the last five minutes',
  series: [
    { name: 'Flagged', token: '--chart-flagged', shape: 'area' },
    { name: 'Labelled fraud', token: '--chart-fraud', shape: 'line' },
  ],
  format: percent,
  mark: (value) => `${Number((value * 100).toPrecision(3))} %`,
  sayTimes: true,
  window_s: WINDOW_S,
  top_min: 0.01,
}

export function Charts({ paused }: { paused: boolean }) {
  const stats = useHeld(useLive((state) => state.stats), paused)
  return (
    <div className="charts">
      <VolumePanel stats={stats} />
      <SharePanel stats={stats} />
      <ScorePanel stats={stats} />
      <LatencyPanel stats={stats} />
    </div>
  )
}

interface Props {
  stats: Stats | null
}

function VolumePanel({ stats }: Props) {
  const seconds = useSeconds(stats)
  const volume = useMemo(() => throughput(seconds), [seconds])
  const flagged = useMemo(() => alerts(seconds), [seconds])
  return (
    <Charted title="Volume" note={`per second; alerts in means of ${ALERT_BIN_S} s`} file="volume" table={() => secondTable(seconds)} className="volume">
      <TimeChart spec={throughputSpec} data={volume} />
      <TimeChart spec={alertsSpec} data={flagged} />
    </Charted>
  )
}

function SharePanel({ stats }: Props) {
  const seconds = useSeconds(stats)
  const data = useMemo(() => shares(seconds), [seconds])
  return (
    <Charted title="Flagged share" note={`of decisions, last ${SHARE_WINDOW_S} s`} file="shares" table={() => shareTable(data)}>
      <TimeChart spec={sharesSpec} data={data} />
    </Charted>
  )
}

function ScorePanel({ stats }: Props) {
  const bins = stats?.score_histogram ?? NO_BINS
  return (
    <Charted title="Scores" note="log scale, most are near 0" file="scores" table={() => scoreTable(bins)}>
      <Histogram label="Decisions by score" name="Scored" token="--chart-score" bins={bins} />
    </Charted>
  )
}

function LatencyPanel({ stats }: Props) {
  const latency = stats?.latency_us ?? NO_LATENCY
  return (
    <Panel title="Latency" note="receipt to answer, log scale">
      <PercentileStrip
        label="Latency from receipt to answer by percentile, last minutes"
        percentiles={[
          { name: 'p50', value: latency.p50 },
          { name: 'p90', value: latency.p90 },
          { name: 'p99', value: latency.p99 },
          { name: 'p99.9', value: latency.p999 },
          { name: 'max', value: latency.max },
        ]}
      />
    </Panel>
  )
}

/** What was there when it was paused. */
function useHeld<T>(value: T, paused: boolean): T {
  const [held, setHeld] = useState(value)
  if (!paused && held !== value) setHeld(value)
  return paused ? held : value
}

function useSeconds(stats: Stats | null) {
  return useMemo(() => (stats ? finishedSeconds(stats.timeline, stats.now) : []), [stats])
}

const NO_BINS = Array.from({ length: 50 }, () => 0)
const NO_LATENCY = { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 }

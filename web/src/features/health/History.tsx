import { useMemo } from 'react'
import { useLive } from '@/api/store'
import type { Stats } from '@/api/types'
import { PercentileStrip } from '@/components/charts/PercentileStrip'
import { TimeChart, type TimeChartSpec } from '@/components/charts/TimeChart'
import { count, countShort } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'

const throughputSpec: TimeChartSpec = {
  label: 'Decisions per second over the last five minutes',
  series: [{ name: 'Decisions', token: '--chart-volume', shape: 'area' }],
  format: count,
  mark: countShort,
  sayTimes: true,
  window_s: 299,
  top_min: 10,
}

/** What the service does, from the live feed: how many decisions, and how long they take. */
export function History() {
  const stats = useLive((state) => state.stats)
  return (
    <div className="health-history">
      <Panel title="Throughput" note="decisions per second, the last five minutes">
        {stats ? <Throughput stats={stats} /> : <Waiting />}
      </Panel>
      <Panel title="Latency" note={stats ? `of ${count(stats.latency_us.count)} decisions, the last minutes` : undefined}>
        {stats ? <Latency stats={stats} /> : <Waiting />}
      </Panel>
    </div>
  )
}

function Waiting() {
  return <p className="panel-note health-waiting">Waiting for the live feed …</p>
}

function Throughput({ stats: { timeline, now } }: { stats: Stats }) {
  const data = useMemo(() => {
    // The second that is still being counted would show as a fall.
    const current = Math.floor(Date.parse(now) / 1_000)
    const seconds = timeline.map(({ at, decisions }) => ({ at: Math.floor(Date.parse(at) / 1_000), decisions }))
    const finished = seconds.filter(({ at }) => at < current)
    return { at: finished.map(({ at }) => at), values: [finished.map(({ decisions }) => decisions)] }
  }, [timeline, now])
  return <TimeChart spec={throughputSpec} data={data} />
}

function Latency({ stats: { latency_us } }: { stats: Stats }) {
  const { p50, p90, p99, p999, max } = latency_us
  const percentiles = [
    { name: 'p50', value: p50 },
    { name: 'p90', value: p90 },
    { name: 'p99', value: p99 },
    { name: 'p99.9', value: p999 },
    { name: 'max', value: max },
  ]
  return <PercentileStrip label="Latency percentiles" percentiles={percentiles} />
}

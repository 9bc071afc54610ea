import type { ReactNode } from 'react'
import { useLive } from '@/api/store'
import type { Stats } from '@/api/types'
import { count, microseconds, NONE, rate, share } from '@/components/ui/numbers'
import { Skeleton } from '@/components/ui/Skeleton'
import { OutcomeMark } from '@/components/ui/OutcomeBadge'

interface Tile {
  name: string
  mark?: ReactNode
  value: (stats: Stats) => ReactNode
  detail: (stats: Stats) => string
}

const tiles: readonly Tile[] = [
  {
    name: 'Decisions',
    value: ({ totals }) => count(totals.decisions),
    detail: ({ totals }) => `${count(totals.repeated)} repeated, ${count(totals.late)} late`,
  },
  {
    name: 'Rate',
    value: (stats) => <Measured value={rate(stats.rate_per_second)} unit="/s" />,
    detail: () => 'mean of the last 5 s',
  },
  {
    name: 'Declined',
    mark: <OutcomeMark outcome="decline" />,
    value: ({ totals }) => count(totals.declined),
    detail: ({ totals }) => `${share(totals.declined, totals.decisions)} of decisions`,
  },
  {
    name: 'In review',
    mark: <OutcomeMark outcome="review" />,
    value: ({ totals }) => count(totals.in_review),
    detail: ({ totals }) => `${share(totals.in_review, totals.decisions)} of decisions`,
  },
  {
    name: 'Rejected',
    value: ({ totals }) => count(totals.rejected),
    detail: () => 'unreadable records',
  },
  {
    name: 'Latency',
    value: ({ latency_us }) => (latency_us.count > 0 ? <Latency p50={latency_us.p50} p99={latency_us.p99} /> : NONE),
    detail: () => 'p50 / p99, receipt to answer',
  },
]

/** Totals of the service since its start. */
export function Tiles() {
  const stats = useLive((state) => state.stats)
  return (
    <section className="tiles" aria-label="Totals" aria-busy={!stats}>
      <dl>
        {tiles.map((tile) => (
          <div key={tile.name} className="tile">
            <dt>
              {tile.mark}
              {tile.name}
            </dt>
            <dd className="tile-value" data-tile={tile.name}>
              {stats ? tile.value(stats) : <Skeleton width="5ch" />}
            </dd>
            <dd className="tile-detail">{stats ? tile.detail(stats) : <Skeleton width="14ch" />}</dd>
          </div>
        ))}
      </dl>
    </section>
  )
}

function Measured({ value, unit }: { value: string; unit: string }) {
  return (
    <>
      {value}
      <span className="unit">{unit}</span>
    </>
  )
}

function Latency({ p50, p99 }: { p50: number; p99: number }) {
  const [fast, fastUnit = ''] = microseconds(p50).split(' ')
  const [slow, slowUnit = ''] = microseconds(p99).split(' ')
  return (
    <>
      <Measured value={fast ?? ''} unit={fastUnit === slowUnit ? '' : ` ${fastUnit}`} />
      <span className="unit"> / </span>
      <Measured value={slow ?? ''} unit={` ${slowUnit}`} />
    </>
  )
}

import type { ReactNode } from 'react'
import { useLive } from '@/api/store'
import type { Activity, ActivityCounts } from '@/api/types'
import { Link } from '@/components/ui/Link'
import { amount, count, NONE, percent, share } from '@/components/ui/numbers'
import { Skeleton } from '@/components/ui/Skeleton'

interface Tile {
  name: string
  value: (total: ActivityCounts, currency: string) => ReactNode
  detail: (total: ActivityCounts) => string
}

const tiles: readonly Tile[] = [
  {
    name: 'Transactions',
    value: (total) => count(total.decisions),
    detail: (total) => `${share(total.in_review + total.declined, total.decisions)} review or declined`,
  },
  {
    name: 'Fraud share',
    value: (total) => fraudShare(total),
    detail: (total) => (total.genuine > 0 ? `of labelled; ${share(total.frauds, total.decisions)} of all` : `of all; only frauds are labelled`),
  },
  {
    name: 'Saved',
    value: (total, currency) => <Money value={total.saved_amount} currency={currency} />,
    detail: (total) => `${count(total.saved)} declined, labelled fraud`,
  },
  {
    name: 'Expected saved',
    value: (total, currency) => <Money value={total.expected_saved_amount} currency={currency} />,
    detail: (total) => `before labels, ${count(total.unlabelled_declined)} declined`,
  },
  {
    name: 'Missed',
    value: (total, currency) => <Money value={total.missed_amount} currency={currency} />,
    detail: (total) => `${count(total.missed)} approved, labelled fraud`,
  },
  {
    name: 'Falsely declined',
    value: (total, currency) => <Money value={total.falsely_declined_amount} currency={currency} />,
    detail: (total) => `${count(total.falsely_declined)} labelled genuine`,
  },
]

/** Of the transactions that have a label. Where only frauds are labelled, of all; without any nothing is known. */
export function fraudShare({ frauds, genuine, decisions }: Pick<ActivityCounts, 'frauds' | 'genuine' | 'decisions'>) {
  if (frauds + genuine === 0) return NONE
  return genuine === 0 ? share(frauds, decisions) : percent(frauds / (frauds + genuine))
}

/** What happened in the range, and the alerts that wait now. */
export function RangeTiles({ activity }: { activity: Activity | null }) {
  const currency = useLive((state) => state.stats?.currency) ?? ''
  return (
    <section className="tiles range-tiles" aria-label="In the range" aria-busy={!activity}>
      <dl>
        <AlertsTile />
        {tiles.map(({ name, value, detail }) => (
          <div key={name} className="tile">
            <dt>{name}</dt>
            <dd className="tile-value" data-tile={name}>
              {activity ? value(activity.total, currency) : <Skeleton width="5ch" />}
            </dd>
            <dd className="tile-detail">{activity ? detail(activity.total) : <Skeleton width="14ch" />}</dd>
          </div>
        ))}
      </dl>
    </section>
  )
}

function AlertsTile() {
  const alerts = useLive((state) => state.alerts)
  return (
    <div className="tile">
      <dt>
        <Link href="/alerts">Alerts waiting</Link>
      </dt>
      <dd className="tile-value" data-tile="Alerts waiting">
        {alerts ? count(alerts.open + alerts.assigned) : <Skeleton width="5ch" />}
      </dd>
      <dd className="tile-detail">{alerts ? `${count(alerts.overdue)} overdue, now` : <Skeleton width="14ch" />}</dd>
    </div>
  )
}

function Money({ value, currency }: { value: number; currency: string }) {
  return (
    <>
      {amount(value, currency)}
      <span className="unit"> {currency}</span>
    </>
  )
}

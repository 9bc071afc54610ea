import type { ReactNode } from 'react'
import { useLive } from '@/api/store'
import type { Alert } from '@/api/types'
import { Link } from '@/components/ui/Link'
import { amount } from '@/components/ui/numbers'
import { OutcomeBadge } from '@/components/ui/OutcomeBadge'
import { ScoreBar } from '@/components/ui/ScoreBar'
import { dateTime } from '@/components/ui/times'
import { useNow } from '@/components/ui/useNow'
import { State } from './State'
import { ageWords, dueWords, sizeWords } from './words'

export function AlertHead({ alert, children }: { alert: Alert; children: ReactNode }) {
  const currency = useLive((state) => state.stats?.currency ?? '')
  const now = useNow(true)
  return (
    <>
      <header className="alerts-head">
        <Link href="/alerts">← Alerts</Link>
        <h1>
          Alert on <span className="code">{alert.entity}</span>
        </h1>
        {children}
      </header>
      <dl className="alert-facts panel" data-outcome={alert.outcome}>
        <Fact name="State">
          <State alert={alert} />
        </Fact>
        <Fact name="Outcome">
          <OutcomeBadge outcome={alert.outcome} />
        </Fact>
        <Fact name="Greatest score">
          <ScoreBar score={alert.score} outcome={alert.outcome} />
        </Fact>
        <Fact name="Expected loss">
          {amount(alert.priority, currency)} {currency}
        </Fact>
        <Fact name="Amount">
          {amount(alert.amount, currency)} {currency}, {sizeWords(alert)}
        </Fact>
        <Fact name="Happened, UTC">
          {dateTime(alert.first_event_time)} to {dateTime(alert.last_event_time)}
        </Fact>
        <Fact name="Became known">{alert.closed_at ? `${dateTime(alert.closed_at)} UTC, by ${alert.closed_by ?? 'somebody'}` : 'not yet'}</Fact>
        <Fact name="Due">
          <span className="due" data-overdue={alert.overdue || undefined}>
            {dueWords(alert, now)}
          </span>
          , {ageWords(alert, now)}
        </Fact>
        {alert.synthetic != null && <Fact name="Synthetic">made by {alert.synthetic}</Fact>}
      </dl>
    </>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

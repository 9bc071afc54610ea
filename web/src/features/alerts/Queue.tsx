import type { RequestError } from '@/api/client'
import { useLive } from '@/api/store'
import type { Alert } from '@/api/types'
import { Link } from '@/components/ui/Link'
import { Notice } from '@/components/ui/Notice'
import { amount } from '@/components/ui/numbers'
import { OutcomeBadge } from '@/components/ui/OutcomeBadge'
import { ScoreBar } from '@/components/ui/ScoreBar'
import { Skeleton } from '@/components/ui/Skeleton'
import { useNow } from '@/components/ui/useNow'
import type { Filters } from './filters'
import { State } from './State'
import type { Outcome } from './useWork'
import { ageWords, dueWords, sizeWords, whyWords } from './words'

interface Props {
  /** Null until they came. */
  rows: readonly Alert[] | null
  /** Asked again, and that failed: what is shown is old. */
  failure: RequestError | null
  filters: Filters
  selected: ReadonlySet<number>
  outcomes: ReadonlyMap<number, Outcome>
  /** A row has got the focus. */
  focused: (id: number) => void
  toggle: (id: number) => void
  more: (() => void) | null
}

export function Queue({ rows, failure, filters, selected, outcomes, focused, toggle, more }: Props) {
  const now = useNow(true)
  return (
    <section className="panel" aria-label="The queue" aria-busy={!rows}>
      {failure && (
        <p className="alerts-old" role="status">
          The server does not answer: this is as it was. {failure.problem.title}.
        </p>
      )}
      {rows?.length === 0 ? (
        <Nothing filters={filters} />
      ) : (
        <div className="sheet-scroll" tabIndex={0} role="region" aria-label="Alerts, scrollable">
          <table className="sheet queue">
            <caption className="unseen">Alerts, in the order that is chosen above</caption>
            <Head />
            <tbody>
              {rows
                ? rows.map((alert) => (
                    <Row
                      key={alert.id}
                      alert={alert}
                      now={now}
                      isSelected={selected.has(alert.id)}
                      outcome={outcomes.get(alert.id)}
                      focused={focused}
                      toggle={toggle}
                    />
                  ))
                : PLACES.map((place) => <Place key={place} />)}
            </tbody>
          </table>
        </div>
      )}
      {more && (
        <p className="queue-more">
          <button type="button" className="button" onClick={more}>
            Show more
          </button>
        </p>
      )}
    </section>
  )
}

const PLACES = Array.from({ length: 12 }, (_, at) => at)

function Head() {
  return (
    <thead>
      <tr>
        <th scope="col">
          <span className="unseen">Selected</span>
        </th>
        <th scope="col">Entity</th>
        <th scope="col">State</th>
        <th scope="col" data-kind="number">
          Expected loss
        </th>
        <th scope="col">Due</th>
        <th scope="col">Transactions</th>
        <th scope="col" data-kind="number">
          Amount
        </th>
        <th scope="col">Score</th>
        <th scope="col">Why</th>
      </tr>
    </thead>
  )
}

interface RowProps {
  alert: Alert
  now: number
  isSelected: boolean
  outcome: Outcome | undefined
  focused: (id: number) => void
  toggle: (id: number) => void
}

function Row({ alert, now, isSelected, outcome, focused, toggle }: RowProps) {
  const currency = useLive((state) => state.stats?.currency ?? '')
  return (
    <tr data-selected={isSelected || undefined} onFocus={() => focused(alert.id)}>
      <td>
        <input type="checkbox" checked={isSelected} aria-label={`Select the alert of ${alert.entity}`} onChange={() => toggle(alert.id)} />
      </td>
      <th scope="row" data-kind="code">
        <Link id={`alert-${alert.id}`} href={`/alerts/${alert.id}`}>
          {alert.entity}
        </Link>
        {alert.synthetic != null && (
          <span className="made" title={`synthetic, made by ${alert.synthetic}`}>
            synthetic
          </span>
        )}
      </th>
      <td>
        <State alert={alert} />
        {outcome && (
          <span className="row-outcome" data-done={outcome.done} role={outcome.done ? 'status' : 'alert'}>
            {outcome.words}
          </span>
        )}
      </td>
      <td data-kind="number">
        <strong>{amount(alert.priority, currency)}</strong> <span className="unit-plain">{currency}</span>
      </td>
      <td className="due" data-overdue={alert.overdue || undefined}>
        {dueWords(alert, now)}
        <span className="due-age">{ageWords(alert, now)}</span>
      </td>
      <td>{sizeWords(alert)}</td>
      <td data-kind="number">{amount(alert.amount, currency)}</td>
      <td>
        <ScoreBar score={alert.score} outcome={alert.outcome} />
        <OutcomeBadge outcome={alert.outcome} />
      </td>
      <td data-kind="wide">{whyWords(alert)}</td>
    </tr>
  )
}

function Place() {
  return (
    <tr>
      <td colSpan={9} className="queue-place">
        <Skeleton width="60%" />
      </td>
    </tr>
  )
}

function Nothing({ filters }: { filters: Filters }) {
  const narrowed = filters.mine || filters.overdue || filters.entity !== '' || filters.state !== 'waiting'
  return (
    <Notice tone="plain" title={narrowed ? 'No such alert' : 'Nothing waits'}>
      <p>
        {narrowed
          ? 'Choose another state, or take a filter away.'
          : 'What is sent to review or declined will stand here, gathered by entity.'}
      </p>
    </Notice>
  )
}

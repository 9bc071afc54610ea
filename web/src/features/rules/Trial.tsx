import { useRef, useState } from 'react'
import { asRequestError } from '@/api/client'
import { tryRule } from '@/api/rules'
import type { BacktestReport, Problem } from '@/api/types'
import { Legend } from '@/components/charts/Legend'
import { amount, count, NONE, percent, rate } from '@/components/ui/numbers'
import { Refusal } from '@/components/ui/Refusal'
import { MistakeList } from './MistakeList'
import { mistakesOf } from './mistakes'
import type { TypedRule } from './typed'

type Told =
  | { phase: 'asking' }
  | { phase: 'trying'; rule: Tried }
  | { phase: 'told'; rule: Tried; report: BacktestReport }
  | { phase: 'refused'; rule: Tried; problem: Problem }

/** What the answer depends on. */
type Tried = Pick<TypedRule, 'when' | 'outcome'>

/** Lets history say what the rule that is being written would have done; nothing is changed by it. */
export function Trial({ typed, currency }: { typed: TypedRule; currency: string }) {
  const [told, setTold] = useState<Told>({ phase: 'asking' })
  const newest = useRef<Tried | null>(null)
  const tryIt = () => {
    const rule = { when: typed.when, outcome: typed.outcome }
    newest.current = rule
    const settle = (next: Told) => {
      if (newest.current === rule) setTold(next)
    }
    setTold({ phase: 'trying', rule })
    tryRule({ when: rule.when, outcome: rule.outcome })
      .then((report) => settle({ phase: 'told', rule, report }))
      .catch((error: unknown) => settle({ phase: 'refused', rule, problem: asRequestError(error).problem }))
  }
  const isOld = told.phase !== 'asking' && (told.rule.when !== typed.when || told.rule.outcome !== typed.outcome)
  return (
    <div className="trial">
      <div className="trial-head">
        <button type="button" className="button small" disabled={typed.when.trim() === '' || told.phase === 'trying'} onClick={tryIt}>
          {told.phase === 'trying' ? 'Looking at history…' : 'Try on history'}
        </button>
        <p aria-live="polite">
          {isOld ? 'What is below is of the rule as it was.' : 'Says what it would have done on the newest million entries of the log.'}
        </p>
      </div>
      {told.phase === 'told' && <Report report={told.report} currency={currency} />}
      {told.phase === 'refused' && <Refused problem={told.problem} />}
    </div>
  )
}

function Refused({ problem }: { problem: Problem }) {
  const isOfRule = problem.status === 422 && problem.title === 'a rulebook with mistakes'
  return isOfRule ? <MistakeList mistakes={mistakesOf(problem)} /> : <Refusal problem={problem} />
}

function Report({ report, currency }: { report: BacktestReport; currency: string }) {
  if (report.transactions === 0) return <p className="trial-nothing">Nothing is stored yet that it could be tried on.</p>
  return (
    <div className="trial-report">
      <Days report={report} />
      <dl className="trial-figures">
        {figures(report, currency).map(({ name, value, of }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {value}
              {of && <span> {of}</span>}
            </dd>
          </div>
        ))}
      </dl>
      <Overlap report={report} />
    </div>
  )
}

const many = (value: number, name: string) => `${count(value)} ${name}${value === 1 ? '' : 's'}`

/** Each figure, with what it is of. */
function figures({ transactions, days, alerts_per_day, cost, rule }: BacktestReport, currency: string) {
  const worth = ({ transactions: how_many, amount: sum }: { transactions: number; amount: number }) => ({
    value: count(how_many),
    of: `worth ${amount(sum, currency)} ${currency}`,
  })
  const part = (value: number | null | undefined) => (value == null ? NONE : percent(value))
  const after = alerts_per_day + rule.added_alerts_per_day
  const costs =
    cost == null || rule.cost == null
      ? []
      : [{ name: 'Cost of what is known', value: `${amount(cost, currency)} → ${amount(rule.cost, currency)}`, of: currency }]
  return [
    { name: 'It fires', value: count(rule.fired), of: `of ${many(transactions, 'transaction')} in ${many(days, 'day')}` },
    { name: 'Alerts a day', value: `${rate(alerts_per_day)} → ${rate(after)}`, of: '' },
    { name: 'Precision', value: part(rule.precision), of: `${count(rule.frauds)} frauds of ${count(rule.known)} known` },
    { name: 'Precision of new alerts', value: part(rule.added_precision), of: '' },
    { name: 'Recall', value: part(rule.recall), of: 'of all known frauds' },
    { name: 'Frauds caught', ...worth(rule.caught) },
    { name: 'Frauds let through', ...worth(rule.let_through) },
    { name: 'Genuine ones reviewed', ...worth(rule.reviewed) },
    { name: 'Genuine ones declined', ...worth(rule.stopped) },
    ...costs,
  ]
}

const HEIGHT = 56

/** Alerts a day as they were, and on top of them those that the rule adds. */
function Days({ report }: { report: BacktestReport }) {
  const days = report.rule.by_day
  const most = Math.max(1, ...days.map(({ alerts, added }) => alerts + added))
  const sum = (key: 'alerts' | 'added') => days.reduce((all, day) => all + day[key], 0)
  const from = days[0]?.date ?? ''
  const to = days.at(-1)?.date ?? ''
  return (
    <figure className="trial-days">
      <Legend
        at={from === to ? from : `${from} to ${to}`}
        items={[
          { name: 'Alerts there were', token: '--chart-volume', value: count(sum('alerts')) },
          { name: 'added', token: '--chart-flagged', value: count(sum('added')) },
        ]}
      />
      <svg viewBox={`0 0 ${days.length} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`Alerts by day, at the most ${count(most)}`}>
        {days.map(({ date, alerts, added }, at) => {
          const [was, more] = [(alerts / most) * HEIGHT, (added / most) * HEIGHT]
          return (
            <g key={date}>
              <title>{`${date}: ${count(alerts)} alerts, ${count(added)} added`}</title>
              <rect x={at + 0.1} width={0.8} y={HEIGHT - was} height={was} fill="var(--chart-volume)" />
              <rect x={at + 0.1} width={0.8} y={HEIGHT - was - more} height={more} fill="var(--chart-flagged)" />
            </g>
          )
        })}
      </svg>
    </figure>
  )
}

const OVERLAPS_SHOWN = 5

/** What there is already that goes together with it most. */
function Overlap({ report }: { report: BacktestReport }) {
  const nearest = report.rule.overlap.filter(({ both }) => both > 0).sort((a, b) => (b.jaccard ?? 0) - (a.jaccard ?? 0))
  if (nearest.length === 0) return <p className="trial-nothing">No other rule, and no alert of the policy, is on the same transactions.</p>
  return (
    <div className="sheet-scroll">
      <table className="sheet">
        <thead>
          <tr>
            {['Together with', 'both', 'only this', 'only that', 'overlap'].map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {nearest.slice(0, OVERLAPS_SHOWN).map(({ with: other, both, only_this, only_that, jaccard }) => (
            <tr key={other}>
              <th scope="row">{other}</th>
              <td>{count(both)}</td>
              <td>{count(only_this)}</td>
              <td>{count(only_that)}</td>
              <td>{jaccard == null ? NONE : percent(jaccard)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

import { useLive } from '@/api/store'
import type { Alert, AlertChange, DecisionSummary } from '@/api/types'
import { readFired } from '@/components/ui/fired'
import { FiredRule, FiredRules } from '@/components/ui/FiredRules'
import { Link } from '@/components/ui/Link'
import { amount, count, signed } from '@/components/ui/numbers'
import { OutcomeBadge } from '@/components/ui/OutcomeBadge'
import { Panel } from '@/components/ui/Panel'
import { ScoreBar } from '@/components/ui/ScoreBar'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { dateTime } from '@/components/ui/times'
import { State } from './State'
import { changeWords, sizeWords } from './words'

export function ReasonsPanel({ alert: { reasons, rules, transaction_id } }: { alert: Alert }) {
  return (
    <Panel title="Why" note={<>of its greatest score, <Link href={`/transactions/${encodeURIComponent(transaction_id)}`}>{transaction_id}</Link></>}>
      <ol className="alert-reasons">
        {reasons.map(({ feature, text, contribution }) => (
          <li key={feature}>
            <span>{text}</span> <code>{feature}</code> <span className="alert-added">{signed(contribution)}</span>
          </li>
        ))}
        {rules.map((rule) => (
          <li key={rule}>
            {readFired(rule).isList ? 'it is ' : 'the rule '}
            <code>
              <FiredRule listed={rule} />
            </code>
            {readFired(rule).isList ? '' : ' fired'}
          </li>
        ))}
        {reasons.length + rules.length === 0 && <li>Nothing but the score says so.</li>}
      </ol>
    </Panel>
  )
}

export function TransactionsPanel({ transactions, all }: { transactions: readonly DecisionSummary[]; all: number }) {
  const currency = useLive((state) => state.stats?.currency ?? '')
  const note = transactions.length < all ? `the newest ${count(transactions.length)} of ${count(all)}` : 'all of them, newest first'
  return (
    <Panel title="Transactions" note={note}>
      <SortTable caption="Transactions of the alert" columns={columns(currency)} rows={transactions} keyOf={({ id }) => id} />
    </Panel>
  )
}

function columns(currency: string): readonly Column<DecisionSummary>[] {
  return [
    { name: 'Transaction', kind: 'code', heads: true, cell: ({ id }) => <Link href={`/transactions/${encodeURIComponent(id)}`}>{id}</Link> },
    { name: 'Event time, UTC', cell: ({ event_time }) => dateTime(event_time), by: ({ event_time }) => event_time },
    { name: `Amount, ${currency}`, kind: 'number', cell: (row) => amount(row.amount, currency), by: (row) => row.amount },
    { name: 'Score', cell: ({ score, outcome }) => <ScoreBar score={score} outcome={outcome} />, by: ({ score }) => score ?? null },
    { name: 'Outcome', cell: ({ outcome }) => <OutcomeBadge outcome={outcome} /> },
    { name: 'Why', kind: 'wide', cell: ({ reasons, rules }) => reasons[0]?.text ?? <FiredRules rules={rules} /> },
  ]
}

export function HistoryPanel({ history }: { history: readonly AlertChange[] }) {
  return (
    <Panel title="History" note="nothing is written over">
      <ol className="alert-history">
        {history.map((change) => (
          <li key={change.version}>
            <span className="alert-did">{changeWords(change)}</span> <time dateTime={change.at}>{dateTime(change.at)} UTC</time>
            {change.note && <q>{change.note}</q>}
          </li>
        ))}
        {history.length === 0 && <li className="quiet">Nobody has done anything with it yet.</li>}
      </ol>
    </Panel>
  )
}

export function OthersPanel({ alerts }: { alerts: readonly Alert[] }) {
  const currency = useLive((state) => state.stats?.currency ?? '')
  return (
    <Panel title="Other alerts of it" note={alerts.length > 0 ? count(alerts.length) : undefined}>
      <ul className="alert-others">
        {alerts.map((alert) => (
          <li key={alert.id}>
            <Link href={`/alerts/${alert.id}`}>{dateTime(alert.first_event_time)}</Link> <State alert={alert} />
            <span className="quiet">
              {sizeWords(alert)}, {amount(alert.amount, currency)} {currency}
            </span>
          </li>
        ))}
        {alerts.length === 0 && <li className="quiet">There is no other.</li>}
      </ul>
    </Panel>
  )
}

import { memo, useEffect } from 'react'
import type { DecisionSummary } from '@/api/types'
import { firedWords } from '@/components/ui/fired'
import { FiredRules } from '@/components/ui/FiredRules'
import { Link } from '@/components/ui/Link'
import { amount, microseconds } from '@/components/ui/numbers'
import { OutcomeBadge } from '@/components/ui/OutcomeBadge'
import { ScoreBar } from '@/components/ui/ScoreBar'
import { Skeleton } from '@/components/ui/Skeleton'
import { dateTime } from '@/components/ui/times'

interface Props {
  rows: readonly DecisionSummary[]
  currency: string
  /** Called with true while somebody points at a row or has one in focus. */
  onReach: (reaching: boolean) => void
}

/*
 * Every role is spelled out: on a narrow screen the style sheet lays rows out as a grid, and a table that is not
 * displayed as one loses its meaning for a screen reader otherwise.
 */
export function DecisionTable({ rows, currency, onReach }: Props) {
  // A table that goes away under the mouse is never told that the mouse has left it.
  useEffect(() => () => onReach(false), [onReach])
  return (
    <table className="decisions" role="table" aria-label="Newest decisions">
      <Head currency={currency} />
      <tbody
        role="rowgroup"
        onPointerEnter={(event) => event.pointerType === 'mouse' && onReach(true)}
        onPointerLeave={() => onReach(false)}
        onFocus={() => onReach(true)}
        onBlur={() => onReach(false)}
      >
        {rows.map((row, place) => (
          // By place, not by id: what is written in a row changes, and no row moves. While one is in focus, all are held.
          <Row key={place} row={row} currency={currency} />
        ))}
      </tbody>
    </table>
  )
}

export function DecisionTableSkeleton() {
  return (
    <table className="decisions" role="table" aria-label="Newest decisions" aria-busy="true">
      <Head currency="" />
      <tbody role="rowgroup">
        {Array.from({ length: 12 }, (_, i) => (
          <tr key={i} role="row">
            {columns.map(({ name, width }) => (
              <td key={name} role="cell" className={`col-${name}`}>
                <Skeleton width={width} />
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

const columns = [
  { name: 'time', title: 'Event time, UTC', width: '19ch' },
  { name: 'id', title: 'Transaction', width: '12ch' },
  { name: 'key', title: 'Key', width: '8ch' },
  { name: 'amount', title: 'Amount', width: '7ch' },
  { name: 'score', title: 'Score', width: '12ch' },
  { name: 'outcome', title: 'Outcome', width: '9ch' },
  { name: 'rules', title: 'Rules', width: '10ch' },
  { name: 'latency', title: 'Decided in', width: '6ch' },
] as const

function Head({ currency }: { currency: string }) {
  return (
    <thead role="rowgroup">
      <tr role="row">
        {columns.map(({ name, title }) => (
          <th key={name} role="columnheader" scope="col" className={`col-${name}`}>
            {name === 'amount' && currency ? `${title}, ${currency}` : title}
          </th>
        ))}
      </tr>
    </thead>
  )
}

const Row = memo(function Row({ row, currency }: { row: DecisionSummary; currency: string }) {
  return (
    <tr role="row" data-outcome={row.outcome}>
      <td role="cell" className="col-time">
        <time dateTime={row.event_time}>{dateTime(row.event_time)}</time>
        {row.late && <span className="tag">late</span>}
      </td>
      <td role="cell" className="col-id" title={row.id}>
        <Link href={`/transactions/${encodeURIComponent(row.id)}`}>{row.id}</Link>
        {row.synthetic && (
          <span className="tag" title={`made by ${row.synthetic}`}>
            synthetic
          </span>
        )}
      </td>
      <td role="cell" className="col-key" title={row.key ?? undefined}>
        {row.key ?? '–'}
      </td>
      <td role="cell" className="col-amount">
        {amount(row.amount, currency)}
        <span className="currency"> {currency}</span>
      </td>
      <td role="cell" className="col-score">
        <ScoreBar score={row.score} outcome={row.outcome} />
      </td>
      <td role="cell" className="col-outcome">
        <OutcomeBadge outcome={row.outcome} />
      </td>
      <td role="cell" className="col-rules" title={row.rules.map(firedWords).join(', ')}>
        <FiredRules rules={row.rules} />
      </td>
      <td role="cell" className="col-latency">
        {microseconds(row.latency_us)}
      </td>
    </tr>
  )
})

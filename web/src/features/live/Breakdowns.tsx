import { useMemo } from 'react'
import type { Breakdown, BreakdownValue } from '@/api/types'
import { count, share } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { SortTable, type Column } from '@/components/ui/SortTable'

/** The decisions of the range by each field that can be counted by. */
export function Breakdowns({ breakdowns }: { breakdowns: readonly Breakdown[] }) {
  return (
    <div className="breakdowns">
      {breakdowns.map((breakdown) => (
        <Values key={breakdown.field} breakdown={breakdown} />
      ))}
    </div>
  )
}

function Values({ breakdown }: { breakdown: Breakdown }) {
  const { field, kind, values } = breakdown
  const most = Math.max(...values.map(({ decisions }) => decisions), 1)
  const columns = useMemo(() => columnsOf(field, most), [field, most])
  return (
    <Panel title={`By ${field.replace(/_id$/, '').replaceAll('_', ' ')}`} note={noteOf(breakdown)}>
      <SortTable
        caption={`Decisions by ${field}`}
        columns={columns}
        rows={values}
        keyOf={({ value }) => value}
        first={{ column: kind === 'entity' ? 'Alert share' : 'Decisions', falling: true }}
      />
    </Panel>
  )
}

function columnsOf(field: string, most: number): Column<BreakdownValue>[] {
  return [
    { name: field, cell: ({ value }) => value, by: ({ value }) => value, heads: true, kind: 'code' },
    { name: 'Decisions', cell: ({ decisions }) => <Bar part={decisions / most} text={count(decisions)} />, by: ({ decisions }) => decisions, kind: 'number' },
    { name: 'Alert share', cell: (row) => share(alertsOf(row), row.decisions), by: (row) => alertsOf(row) / Math.max(1, row.decisions), kind: 'number' },
    { name: 'Frauds', cell: ({ frauds }) => count(frauds), by: ({ frauds }) => frauds, kind: 'number' },
  ]
}

function Bar({ part, text }: { part: number; text: string }) {
  return (
    <span className="breakdown-bar" style={{ backgroundSize: `${part * 100}% 100%` }}>
      {text}
    </span>
  )
}

function noteOf({ kind, from, others, others_counts }: Breakdown) {
  const which = kind === 'entity' ? 'with the most alerts' : 'with the most decisions'
  const rest = others === 0 ? '' : `; ${count(others)} more with ${count(others_counts.decisions)} decisions`
  return `${which}${rest}${from ? `; counted from ${from.slice(0, 16).replace('T', ' ')} UTC` : ''}`
}

const alertsOf = (row: BreakdownValue) => row.in_review + row.declined

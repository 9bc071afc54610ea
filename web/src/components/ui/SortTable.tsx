import { useState, type ReactNode } from 'react'
import { sorted, type SortValue } from './sorted'
import './table.css'

export interface Column<Row> {
  name: string
  cell: (row: Row) => ReactNode
  /** What rows are sorted by in this column; without it nobody can. */
  by?: (row: Row) => SortValue
  kind?: 'number' | 'code' | 'wide'
  /** Names the row, for who hears the table. */
  heads?: boolean
}

interface Props<Row> {
  caption: string
  columns: readonly Column<Row>[]
  rows: readonly Row[]
  keyOf: (row: Row) => string
  /** Without it, rows stand as they come. */
  first?: { column: string; falling: boolean }
}

/** A table that is sorted by the column whose head is pressed; pressed again, the other way. */
export function SortTable<Row>({ caption, columns, rows, keyOf, first }: Props<Row>) {
  const [order, setOrder] = useState(first)
  const by = columns.find(({ name }) => name === order?.column)?.by
  const shown = order && by ? sorted(rows, by, order.falling) : rows
  return (
    <div className="sheet-scroll" tabIndex={0} role="region" aria-label={`${caption}, scrollable`}>
      <table className="sheet">
        <caption className="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Head
                key={column.name}
                column={column}
                order={order?.column === column.name ? order : undefined}
                onSort={(falling) => setOrder({ column: column.name, falling })}
              />
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <Cell key={column.name} column={column} row={row} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

interface HeadProps<Row> {
  column: Column<Row>
  order: { falling: boolean } | undefined
  onSort: (falling: boolean) => void
}

function Head<Row>({ column, order, onSort }: HeadProps<Row>) {
  if (!column.by) {
    return (
      <th scope="col" data-kind={column.kind}>
        {column.name}
      </th>
    )
  }
  // Large numbers are what one looks for first; names begin with A.
  const falling = order ? !order.falling : column.kind === 'number'
  return (
    <th scope="col" data-kind={column.kind} aria-sort={order ? (order.falling ? 'descending' : 'ascending') : undefined}>
      <button type="button" onClick={() => onSort(falling)}>
        {column.name}
        <span className="sheet-arrow" aria-hidden="true">
          {order ? (order.falling ? '↓' : '↑') : ''}
        </span>
      </button>
    </th>
  )
}

function Cell<Row>({ column, row }: { column: Column<Row>; row: Row }) {
  if (column.heads) {
    return (
      <th scope="row" data-kind={column.kind}>
        {column.cell(row)}
      </th>
    )
  }
  return <td data-kind={column.kind}>{column.cell(row)}</td>
}

import type { ThresholdPoint } from '@/api/types'
import { count, share } from '@/components/ui/numbers'

/** What alerted beside what it was, with shares of what it was: the diagonal is what one wants full. */
export function Confusion({ point }: { point: ThresholdPoint }) {
  const { true_positives, false_positives, false_negatives, true_negatives } = point
  const frauds = true_positives + false_negatives
  const genuine = false_positives + true_negatives
  return (
    <table className="confusion">
      <caption>What it was, and whether it alerts</caption>
      <thead>
        <tr>
          <td />
          <th scope="col">Alert</th>
          <th scope="col">No alert</th>
        </tr>
      </thead>
      <tbody>
        <tr>
          <th scope="row">Fraud</th>
          <Cell name="caught" value={true_positives} all={frauds} right />
          <Cell name="missed" value={false_negatives} all={frauds} />
        </tr>
        <tr>
          <th scope="row">Genuine</th>
          <Cell name="disturbed" value={false_positives} all={genuine} />
          <Cell name="left alone" value={true_negatives} all={genuine} right />
        </tr>
      </tbody>
    </table>
  )
}

interface CellProps {
  name: string
  value: number
  all: number
  right?: boolean
}

function Cell({ name, value, all, right = false }: CellProps) {
  return (
    <td data-right={right}>
      <b>{count(value)}</b>
      <span>{share(value, all)}</span>
      <span>{name}</span>
    </td>
  )
}

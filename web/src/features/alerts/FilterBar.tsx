import { Segments } from '@/components/ui/Segments'
import { ORDERS, STATES, type Filters } from './filters'

interface Props {
  filters: Filters
  analyst: string
  change: (next: Partial<Filters>) => void
}

const orderWords: Record<Filters['order'], string> = { priority: 'expected loss', age: 'oldest', newest: 'newest' }

export function FilterBar({ filters, analyst, change }: Props) {
  return (
    <div className="alerts-filters" role="search" aria-label="Which alerts">
      <Segments
        label="State"
        options={STATES.map((value) => ({ value, text: value }))}
        value={filters.state}
        onChange={(state) => change({ state })}
      />
      <Segments
        label="Order"
        options={ORDERS.map((value) => ({ value, text: orderWords[value] }))}
        value={filters.order}
        onChange={(order) => change({ order })}
      />
      <Check name={analyst ? `${analyst}'s` : 'mine'} value={filters.mine} disabled={!analyst} onChange={(mine) => change({ mine })} />
      <Check name="overdue" value={filters.overdue} onChange={(overdue) => change({ overdue })} />
      <input
        type="search"
        className="search alerts-search"
        placeholder="Entity"
        aria-label="Alerts of an entity"
        defaultValue={filters.entity}
        onChange={(event) => change({ entity: event.target.value.trim() })}
      />
    </div>
  )
}

interface CheckProps {
  name: string
  value: boolean
  disabled?: boolean
  onChange: (value: boolean) => void
}

function Check({ name, value, disabled = false, onChange }: CheckProps) {
  return (
    <label className="check">
      <input type="checkbox" checked={value} disabled={disabled} onChange={(event) => onChange(event.target.checked)} />
      {name}
    </label>
  )
}

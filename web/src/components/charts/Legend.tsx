import type { Token } from './palette'

export interface LegendItem {
  name: string
  token: Token
  value: string
}

export function Legend({ at, items }: { at: string; items: readonly LegendItem[] }) {
  return (
    <dl className="legend" aria-hidden="true">
      {items.map((item) => (
        <div key={item.name}>
          <dt>
            <span className="swatch" style={{ background: `var(${item.token})` }} />
            {item.name}
          </dt>
          <dd>{item.value}</dd>
        </div>
      ))}
      <div className="legend-at">{at}</div>
    </dl>
  )
}

import { useState } from 'react'
import type { Decision } from '@/api/types'
import { measure } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'

type Feature = Decision['features'][number]

export function FeatureTable({ features }: { features: readonly Feature[] }) {
  const [sought, setSought] = useState('')
  const shown = features.filter(({ name }) => name.toLowerCase().includes(sought.trim().toLowerCase()))
  const search = (
    <input
      type="search"
      className="search"
      placeholder="Find a feature"
      aria-label="Find a feature"
      value={sought}
      onChange={(event) => setSought(event.target.value)}
    />
  )
  return (
    <Panel title="Features" note={`${features.length}, as the model saw them`} side={search} className="features-panel">
      <div className="features-halves">
        {halvesOf(shown).map((half, i) => (
          <HalfTable key={i} features={half} />
        ))}
      </div>
      {shown.length === 0 && <p className="features-none">{features.length > 0 ? 'No such feature' : 'No features'}</p>}
    </Panel>
  )
}

/** Detectors have dozens of features: side by side, in their order, they are in sight together. */
function halvesOf(features: readonly Feature[]) {
  const half = Math.ceil(features.length / 2)
  return [features.slice(0, half), features.slice(half)].filter((part) => part.length > 0)
}

function HalfTable({ features }: { features: readonly Feature[] }) {
  return (
    <table className="features">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Value</th>
        </tr>
      </thead>
      <tbody>
        {features.map((feature) => (
          <FeatureRow key={feature.name} feature={feature} />
        ))}
      </tbody>
    </table>
  )
}

function FeatureRow({ feature: { name, value } }: { feature: Feature }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td title={value == null ? undefined : String(value)}>
        {value == null ? <span className="missing">missing</span> : <Aligned value={value} />}
      </td>
    </tr>
  )
}

function Aligned({ value }: { value: number }) {
  const { whole, fraction } = measure(value)
  return (
    <>
      {whole}
      <span className="fraction">{fraction}</span>
    </>
  )
}

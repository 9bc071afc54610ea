import { useState } from 'react'
import type { Decision, DetectorInfo, FeatureInfo } from '@/api/types'
import { measure } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { windowWords } from './words'

/** A value, and what the detector says of it. */
type Feature = Decision['features'][number] & { info: FeatureInfo | undefined }

interface Props {
  features: Decision['features']
  /** Null until it came, or where it did not: then features have names only. */
  detector: DetectorInfo | null
}

export function FeatureTable({ features: values, detector }: Props) {
  const [sought, setSought] = useState('')
  const features = joined(values, detector)
  const shown = features.filter((feature) => wordsOf(feature).includes(sought.trim().toLowerCase()))
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

function joined(values: Props['features'], detector: DetectorInfo | null): Feature[] {
  const known = new Map(detector?.features.map((feature) => [feature.name, feature]))
  return values.map((value) => ({ ...value, info: known.get(value.name) }))
}

/** What is looked through. */
function wordsOf({ name, info }: Feature) {
  return [name, info?.text, info && windowWords(info)].join(' ').toLowerCase()
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

function FeatureRow({ feature: { name, value, info } }: { feature: Feature }) {
  return (
    <tr>
      <th scope="row">
        {name}
        {info && <About info={info} />}
      </th>
      <td title={value == null ? undefined : String(value)}>
        {value == null ? <span className="missing">missing</span> : <Aligned value={value} />}
      </td>
    </tr>
  )
}

function About({ info }: { info: FeatureInfo }) {
  const window = windowWords(info)
  return (
    <span className="feature-about">
      {info.text} {window && <span className="feature-window">{window}</span>}
    </span>
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

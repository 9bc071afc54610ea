import type { Asked } from '@/api/useAsked'
import type { Drift, FeatureDrift } from '@/api/types'
import { Notice } from '@/components/ui/Notice'
import { count, measure, percent } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { Unanswered } from '@/components/ui/Unanswered'
import { day, referenceWords, stabilityOf } from './words'

const columns: readonly Column<FeatureDrift>[] = [
  { name: 'Feature', cell: ({ name }) => name, by: ({ name }) => name, kind: 'code', heads: true },
  { name: 'PSI', cell: ({ psi }) => psi.toFixed(3), by: ({ psi }) => psi, kind: 'number' },
  { name: 'It is', cell: (feature) => <StabilityMark feature={feature} /> },
  { name: 'Before and now', cell: (feature) => <Bars feature={feature} /> },
  { name: 'Missing before', cell: ({ missing_before }) => percent(missing_before), by: ({ missing_before }) => missing_before, kind: 'number' },
  { name: 'Missing now', cell: ({ missing_now }) => percent(missing_now), by: ({ missing_now }) => missing_now, kind: 'number' },
  { name: 'Never seen', cell: ({ unseen }) => percent(unseen), by: ({ unseen }) => unseen, kind: 'number' },
]

/** How far the newest decisions are from what the champion learnt from. */
export function DriftPanel({ drift, again }: { drift: Asked<Drift>; again: () => void }) {
  if (drift.phase === 'loading') return <div className="panel placeholder models-tall models-drift" aria-busy="true" />
  if (drift.phase === 'failed') {
    return (
      <div className="panel models-drift">
        <Unanswered title="The drift did not come" error={drift.error} again={again} />
      </div>
    )
  }
  const { value } = drift
  if (value.reference === 'none' || value.features.length === 0) {
    return (
      <Panel title="Drift" className="models-drift">
        <Notice tone="plain" title="Too few decisions to tell">
          <p>Drift is measured on the newest real decisions; synthetic ones do not count. So far there are {count(value.decisions)}.</p>
        </Notice>
      </Panel>
    )
  }
  return (
    <Panel title="Drift" note={noteOf(value)} className="models-drift">
      <p className="drift-said">{inWords(value)}</p>
      <div className="drift-table">
        <SortTable
          caption="Drift of the score and the features"
          columns={columns}
          rows={value.score ? [value.score, ...value.features] : value.features}
          keyOf={({ name }) => name}
        />
      </div>
    </Panel>
  )
}

function noteOf({ decisions, from, to, reference }: Drift) {
  const when = from && to ? `, ${day(from)} to ${day(to)} UTC` : ''
  return `the newest ${count(decisions)} decisions${when}, beside ${referenceWords(reference)}`
}

function inWords({ features, score }: Drift) {
  const different = features.filter((feature) => stabilityOf(feature) === 'different').length
  const shifting = features.filter((feature) => stabilityOf(feature) === 'shifting').length
  const rest = features.length - different - shifting
  const scores = score ? ` The score itself is ${stabilityOf(score)}.` : ''
  return `Features: ${different} different, ${shifting} shifting, ${rest} stable.${scores}`
}

const SHAPES = { stable: <circle cx="5" cy="5" r="3" />, shifting: <path d="M5 0.8 9.6 9H0.4Z" />, different: <path d="M1 1h8v8H1Z" /> }

function StabilityMark({ feature }: { feature: FeatureDrift }) {
  const stability = stabilityOf(feature)
  return (
    <span className="stability" data-stability={stability}>
      <svg viewBox="0 0 10 10" aria-hidden="true">
        {SHAPES[stability]}
      </svg>
      {stability}
    </span>
  )
}

const [WIDTH, HEIGHT] = [120, 24]

/** Shares of each bin: now as bars, before as a line of steps over them. */
function Bars({ feature: { name, before, now, edges } }: { feature: FeatureDrift }) {
  const highest = Math.max(1e-9, ...before, ...now)
  const wide = WIDTH / Math.max(1, before.length)
  const top = (share: number) => HEIGHT - (HEIGHT - 1) * (share / highest)
  const steps = before.map((share, i) => `${i === 0 ? 'M' : 'L'}${i * wide},${top(share)}H${(i + 1) * wide}`).join('')
  const said = before.map((share, i) => `${binName(edges, i)} before ${percent(share)}, now ${percent(now[i] ?? 0)}`)
  return (
    <svg className="drift-bars" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${name}: ${said.join('; ')}`}>
      <title>{said.join('\n')}</title>
      {now.map((share, i) => (
        <rect key={i} x={i * wide + 0.5} y={top(share)} width={Math.max(0.5, wide - 1)} height={HEIGHT - top(share)} />
      ))}
      <path d={steps} />
    </svg>
  )
}

function binName(edges: readonly number[], index: number) {
  const [low, high] = [edges[index - 1], edges[index]]
  if (low === undefined) return high === undefined ? 'all' : `below ${short(high)}`
  return high === undefined ? `from ${short(low)}` : `${short(low)} to ${short(high)}`
}

function short(value: number) {
  const { whole, fraction } = measure(Number(value.toPrecision(4)))
  return whole + fraction
}

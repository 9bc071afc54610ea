import type { Decision } from '@/api/types'
import { Panel } from '@/components/ui/Panel'
import { count } from '@/components/ui/numbers'

/** What came in, and what decided about it. */
export function Facts({ decision }: { decision: Decision }) {
  const { versions } = decision
  return (
    <>
      <Panel title="Event" note={decision.synthetic ? `synthetic, made by ${decision.synthetic}` : undefined}>
        <FactList facts={Object.entries(decision.event).map(([k, v]) => [k, asText(v)])} />
      </Panel>
      <Panel title="Decided by">
        <FactList
          facts={[
            ['detector', versions.detector],
            ['fingerprint', versions.detector_fingerprint],
            ['model', versions.model ?? 'none'],
            ['rules', versions.rules],
            ['sequence', count(decision.sequence)],
            ['key', decision.key ?? '–'],
          ]}
        />
      </Panel>
    </>
  )
}

function FactList({ facts }: { facts: readonly (readonly [string, string])[] }) {
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}

/** As it was received: text without quotes, everything else as JSON writes it. */
function asText(value: unknown) {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

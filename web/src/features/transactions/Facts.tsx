import type { ReactNode } from 'react'
import type { Decision, DetectorInfo } from '@/api/types'
import { firedName, readFired } from '@/components/ui/fired'
import { FiredRule } from '@/components/ui/FiredRules'
import { OutcomeBadge } from '@/components/ui/OutcomeBadge'
import { Panel } from '@/components/ui/Panel'
import { count } from '@/components/ui/numbers'
import { Replay } from './Replay'
import { fieldWords, received } from './words'

interface Props {
  decision: Decision
  /** Null until it came, or where it did not. */
  detector: DetectorInfo | null
}

interface Fact {
  name: string
  value: ReactNode
  about?: string
}

/** What came in, with what the detector says of each field. */
export function EventFacts({ decision, detector }: Props) {
  return (
    <Panel title="Event" note={decision.synthetic ? `synthetic, made by ${decision.synthetic}` : undefined}>
      <FactList facts={fieldsOf(decision, detector)} />
    </Panel>
  )
}

/** Fields of the event, then those that it could have had. Live events have no label, so that one is not missing. */
function fieldsOf({ event }: Decision, detector: DetectorInfo | null): Fact[] {
  const known = new Map(detector?.fields.map((field) => [field.name, field]))
  const about = (name: string) => {
    const field = known.get(name)
    return field && detector ? { about: fieldWords(field, detector.currency) } : {}
  }
  const given = Object.entries(event).map(([name, value]) => ({ name, value: received(value), ...about(name) }))
  const lacking = [...known.values()].filter(({ name, role }) => !(name in event) && role !== 'label')
  const missing = lacking.map(({ name }) => ({ name, value: <span className="fact-missing">missing</span>, ...about(name) }))
  return [...given, ...missing]
}

/** Which versions decided, and whether they would again. */
export function DecidedBy({ decision }: { decision: Decision }) {
  const { versions } = decision
  return (
    <Panel title="Decided by">
      <FactList
        facts={[
          { name: 'detector', value: versions.detector },
          { name: 'fingerprint', value: versions.detector_fingerprint },
          { name: 'model', value: versions.model ?? 'none' },
          { name: 'rules', value: versions.rules },
          { name: 'sequence', value: count(decision.sequence) },
          { name: 'key', value: decision.key ?? '–' },
        ]}
      />
      <Replay key={decision.id} id={decision.id} />
    </Panel>
  )
}

/** Rules that fired, with what they look for. */
export function FiredRules({ decision, detector }: Props) {
  // A rule that was in the shadow then may decide by now, and the other way round.
  const known = new Map(detector?.rules.map((rule) => [firedName(rule.name), rule]))
  return (
    <Panel title="Rules that fired">
      {decision.rules.length === 0 && <p className="rules-none">None. The score alone decided.</p>}
      <ul className="rules-fired">
        {decision.rules.map((name) => {
          const rule = known.get(firedName(name))
          return (
            <li key={name}>
              <p>
                <b>
                  <FiredRule listed={name} />
                </b>{' '}
                {rule && <OutcomeBadge outcome={rule.outcome} />}
              </p>
              {rule ? <code>{rule.when}</code> : detector && <p className="rules-gone">The detector has no such {readFired(name).isList ? 'list' : 'rule'} any more.</p>}
            </li>
          )
        })}
      </ul>
    </Panel>
  )
}

function FactList({ facts }: { facts: readonly Fact[] }) {
  return (
    <dl className="facts">
      {facts.map(({ name, value, about }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {value}
            {about && <span className="fact-about">{about}</span>}
          </dd>
        </div>
      ))}
    </dl>
  )
}

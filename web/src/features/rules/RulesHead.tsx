import type { ReactNode } from 'react'
import type { RulebookNote, RulesInForce } from '@/api/types'
import type { Asked } from '@/api/useAsked'
import { dateTime } from '@/components/ui/times'

interface HeadProps {
  title: ReactNode
  rules: Asked<RulesInForce>
  /** What who is signed in may not do, and why. */
  refusal: string | undefined
  /** What was just published here. */
  done: RulebookNote | null
  again: () => void
}

/** Which rulebook holds, whose it is, and what was just done. */
export function RulesHead({ title, rules, refusal, done, again }: HeadProps) {
  return (
    <>
      <header className="page-head">
        <h1>{title}</h1>
        <p>{rules.phase === 'ready' && inForce(rules.value)}</p>
      </header>
      {refusal && <p className="rules-only-look">{refusal}</p>}
      <p className="rules-done" role="status">
        {done && `Done: ${done.change}. Rulebook ${done.number} holds: what comes in now is decided by it.`}
      </p>
      {rules.phase === 'ready' && rules.failure && (
        <div className="stale-bar" role="status">
          <strong>The server did not answer.</strong> <span>What is shown is what it said last.</span>
          <button type="button" className="button" onClick={again}>
            Try again
          </button>
        </div>
      )}
    </>
  )
}

function inForce({ number, published }: RulesInForce) {
  if (!published) return `Rulebook ${number} is in force: what the detector file says.`
  return `Rulebook ${number} is in force, by ${published.by} since ${dateTime(published.at)} UTC.`
}

import { useEffect, useState } from 'react'
import { getReasons, RequestError } from '@/api/client'
import type { Decision, Reason } from '@/api/types'
import { Panel } from '@/components/ui/Panel'
import { signed } from '@/components/ui/numbers'

type Asked = { phase: 'idle' } | { phase: 'asking' } | { phase: 'told'; reasons: Reason[] } | { phase: 'refused'; why: string }

/** What speaks for fraud. Below the threshold of review nobody was told, and it can be asked for. */
export function Reasons({ decision }: { decision: Decision }) {
  const [asked, ask] = useReasons(decision.id)
  const reasons = asked.phase === 'told' ? asked.reasons : decision.reasons
  const told = asked.phase === 'told' || reasons.length > 0
  return (
    <Panel title="Reasons" note="what speaks for fraud, and what it adds to the model's margin">
      {reasons.length > 0 && <ReasonList reasons={reasons} outcome={decision.outcome} />}
      {told && reasons.length === 0 && <p className="reasons-none">Nothing speaks for fraud.</p>}
      {!told && (
        <p className="reasons-none">
          {asked.phase === 'refused' ? (
            `Not explained: ${asked.why}.`
          ) : (
            <>
              The score gave no cause to say why.{' '}
              <button type="button" className="button" disabled={asked.phase === 'asking'} onClick={ask}>
                Explain
              </button>
            </>
          )}
        </p>
      )}
    </Panel>
  )
}

function useReasons(id: string): [Asked, () => void] {
  const [asked, setAsked] = useState<Asked>({ phase: 'idle' })
  const [times, setTimes] = useState(0)
  useEffect(() => {
    if (times === 0) return
    const request = new AbortController()
    const settle = (result: Asked) => {
      if (!request.signal.aborted) setAsked(result)
    }
    getReasons(id, request.signal)
      .then(({ reasons }) => settle({ phase: 'told', reasons }))
      .catch((error: unknown) => settle({ phase: 'refused', why: whyOf(error) }))
    return () => request.abort()
  }, [id, times])
  const ask = () => {
    setAsked({ phase: 'asking' })
    setTimes((before) => before + 1)
  }
  return [asked, ask]
}

function whyOf(error: unknown) {
  return error instanceof RequestError ? error.message : 'the answer could not be read'
}

function ReasonList({ reasons, outcome }: { reasons: readonly Reason[]; outcome: Decision['outcome'] }) {
  const largest = Math.max(...reasons.map(({ contribution }) => contribution))
  return (
    <ol className="reasons">
      {reasons.map(({ feature, contribution, text }) => (
        <li key={feature}>
          <span className="reason-text">{text}</span>
          <code className="reason-feature">{feature}</code>
          <span className="score reason-score" data-outcome={outcome}>
            <span className="score-value">{signed(contribution)}</span>
            <span className="score-track" aria-hidden="true">
              <span style={{ width: `${(contribution / largest) * 100}%` }} />
            </span>
          </span>
        </li>
      ))}
    </ol>
  )
}

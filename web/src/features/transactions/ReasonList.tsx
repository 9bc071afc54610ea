import type { Decision, Reason } from '@/api/types'
import { signed } from '@/components/ui/numbers'

/** What spoke for fraud, as it was stored with the decision. */
export function ReasonList({ reasons, outcome }: { reasons: readonly Reason[]; outcome: Decision['outcome'] }) {
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

import type { ReactNode } from 'react'
import type { Decision } from '@/api/types'
import { FiredRules } from '@/components/ui/FiredRules'
import { amount, microseconds } from '@/components/ui/numbers'
import { OutcomeBadge } from '@/components/ui/OutcomeBadge'
import { ScoreBar } from '@/components/ui/ScoreBar'
import { dateTime, dateTimeMillis } from '@/components/ui/times'

/** The decision in one line: what was decided about how much, when, and how fast. */
export function Verdict({ decision, currency }: { decision: Decision; currency: string }) {
  return (
    <section className="panel verdict" data-outcome={decision.outcome} aria-label="Decision">
      <Part name="Outcome">
        <OutcomeBadge outcome={decision.outcome} />
      </Part>
      <Part name="Score">
        <ScoreBar score={decision.score} outcome={decision.outcome} />
      </Part>
      <Part name="Amount">
        {amount(decision.amount, currency)} <span className="unit">{currency}</span>
      </Part>
      <Part name="Event time, UTC">
        <time dateTime={decision.event_time}>{dateTime(decision.event_time)}</time>
        {decision.late && <span className="tag">late</span>}
      </Part>
      <Part name="Decided at, UTC">
        <time dateTime={decision.decided_at}>{dateTimeMillis(decision.decided_at)}</time>
      </Part>
      <Part name="Decided in">{microseconds(decision.latency_us)}</Part>
      {decision.fallback && (
        <Part name="Answered at the deadline">
          <OutcomeBadge outcome={decision.fallback.outcome} /> after {microseconds(decision.fallback.waited_us)}
        </Part>
      )}
      <Part name="Rules">{decision.rules.length > 0 ? <FiredRules rules={decision.rules} /> : 'none fired'}</Part>
    </section>
  )
}

function Part({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="verdict-part">
      <span className="verdict-name">{name}</span>
      <span className="verdict-value">{children}</span>
    </div>
  )
}

import type { Outcome } from '@/api/types'

export const outcomeWords: Record<Outcome, string> = { approve: 'approved', review: 'in review', decline: 'declined' }

/** The outcome in word, shape and colour, so that none of the three is needed to tell them apart. */
export function OutcomeBadge({ outcome }: { outcome: Outcome }) {
  return (
    <span className="badge" data-outcome={outcome}>
      <OutcomeMark outcome={outcome} />
      {outcomeWords[outcome]}
    </span>
  )
}

export function OutcomeMark({ outcome }: { outcome: Outcome }) {
  return (
    <svg className="mark" data-outcome={outcome} viewBox="0 0 10 10" aria-hidden="true">
      {outcome === 'approve' && <circle cx="5" cy="5" r="3" />}
      {outcome === 'review' && <path d="M5 0.8 9.6 9H0.4Z" />}
      {outcome === 'decline' && <path d="M1 1h8v8H1Z" />}
    </svg>
  )
}

import type { Outcome } from '@/api/types'
import { score as format } from './numbers'

interface Props {
  score: number | null | undefined
  outcome: Outcome
}

export function ScoreBar({ score, outcome }: Props) {
  const width = `${Math.min(1, Math.max(0, score ?? 0)) * 100}%`
  return (
    <span className="score" data-outcome={outcome}>
      <span className="score-value">{format(score)}</span>
      <span className="score-track" aria-hidden="true">
        <span style={{ width }} />
      </span>
    </span>
  )
}

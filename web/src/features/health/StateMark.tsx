import type { ReactNode } from 'react'
import { STATE_WORDS, type State } from './words'

const SHAPES: Record<State, ReactNode> = {
  ok: <circle cx="5" cy="5" r="4" />,
  degraded: <path d="M5 0.6 9.8 9.2H0.2Z" />,
  off: <path d="M1 4.2h8v1.6H1Z" />,
}

/** A state as a word and a shape: the colour only repeats it. */
export function StateMark({ state }: { state: State }) {
  return (
    <span className="health-state" data-state={state}>
      <svg viewBox="0 0 10 10" aria-hidden="true">
        {SHAPES[state]}
      </svg>
      {STATE_WORDS[state]}
    </span>
  )
}

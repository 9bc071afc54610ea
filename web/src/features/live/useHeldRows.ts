import { useState } from 'react'
import { useLive, type LiveState } from '@/api/store'
import type { DecisionSummary, Outcome, Stats } from '@/api/types'

export type Filter = Outcome | 'all'

interface Held {
  rows: readonly DecisionSummary[]
  /** How many such decisions there were when the rows were held: what came since is waiting. */
  made: number
  filter: Filter
  complete: boolean
}

/**
 * Rows are laid out anew four times a second, and nobody reads to the end of a list that moves; once held, all are
 * there.
 */
const MOVING_ROWS_MAX = 40

export interface Rows {
  rows: readonly DecisionSummary[]
  held: boolean
  waiting: number
}

/**
 * The rows to show: the newest, or those that were the newest when `hold` began. Another filter, or older rows that
 * make the list `complete`, are what the user asked for, and are let in while holding.
 */
export function useHeldRows(filter: Filter, complete: boolean, hold: boolean): Rows {
  const latest = useLive((state) => rowsOf(state, filter))
  const stats = useLive((state) => state.stats)
  const made = stats ? madeOf(stats, filter) : 0
  const [held, setHeld] = useState<Held | null>(null)

  // Changed while rendering, as React asks for state that follows from other state: no frame shows the wrong rows.
  const wanted = hold && latest.length > 0
  const holding = held?.filter === filter && held.complete === complete
  if (wanted && !holding) setHeld({ rows: latest, made, filter, complete })
  if (!wanted && held) setHeld(null)

  if (wanted && holding) {
    return { rows: held.rows, held: true, waiting: Math.max(0, made - held.made) }
  }
  return { rows: latest.slice(0, MOVING_ROWS_MAX), held: wanted, waiting: 0 }
}

function rowsOf(state: LiveState, filter: Filter) {
  return filter === 'all' ? state.recent : state.byOutcome[filter]
}

function madeOf({ totals }: Stats, filter: Filter) {
  if (filter === 'approve') return totals.approved
  if (filter === 'review') return totals.in_review
  if (filter === 'decline') return totals.declined
  return totals.decisions
}

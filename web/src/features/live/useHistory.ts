import { useEffect, useState } from 'react'
import { listDecisions } from '@/api/client'
import { applyHistory, liveStore, ROWS_MAX, useLive } from '@/api/store'
import type { Filter } from './useHeldRows'

/** While the live rows are a sample, the decisions that they leave out are asked for this often. */
const REFRESH_MS = 2_000

/**
 * Decisions of the outcome asked for, as the server remembers them. The live rows of a minute may hold no decline at
 * all, and a list that stays empty looks broken. Asked again after every snapshot, since that begins the lists afresh.
 * Says whether they are here.
 */
export function useHistory(filter: Filter) {
  const [answered, setAnswered] = useState<Filter>('all')
  const snapshots = useLive((state) => state.snapshots)
  const sampled = useLive((state) => state.sampling !== null)
  useEffect(() => {
    if (filter === 'all' || snapshots === 0) return
    const request = new AbortController()
    const ask = () => {
      listDecisions(filter, ROWS_MAX, request.signal)
        .then(({ items }) => {
          liveStore.update((state) => applyHistory(state, filter, items))
          setAnswered(filter)
        })
        .catch(() => {
          // The live rows remain, and what ails the server shows in the connection.
        })
    }
    ask()
    const timer = sampled ? setInterval(ask, REFRESH_MS) : undefined
    return () => {
      clearInterval(timer)
      request.abort()
    }
  }, [filter, snapshots, sampled])
  return filter === 'all' || filter === answered
}

import { useEffect, useState } from 'react'
import { listDecisions } from '@/api/client'
import { applyHistory, liveStore, ROWS_MAX, useLive } from '@/api/store'
import type { Filter } from './useHeldRows'

/**
 * Older decisions of the outcome asked for. The live rows of a minute may hold no decline at all, and a list that stays
 * empty looks broken. Asked again after every snapshot, since that begins the lists afresh. Says whether they are here.
 */
export function useHistory(filter: Filter) {
  const [answered, setAnswered] = useState<Filter>('all')
  const snapshots = useLive((state) => state.snapshots)
  useEffect(() => {
    if (filter === 'all' || snapshots === 0) return
    const request = new AbortController()
    listDecisions(filter, ROWS_MAX, request.signal)
      .then(({ items }) => {
        liveStore.update((state) => applyHistory(state, filter, items))
        setAnswered(filter)
      })
      .catch(() => {
        // The live rows remain, and what ails the server shows in the connection.
      })
    return () => request.abort()
  }, [filter, snapshots])
  return filter === 'all' || filter === answered
}

import { useCallback, useEffect } from 'react'
import { getActivity } from '@/api/activity'
import type { Activity } from '@/api/types'
import { useAsked, type Asked } from '@/api/useAsked'
import { useNow } from '@/components/ui/useNow'
import { boundsOf, reachesNow, stepOf, type Range } from './range'

const EVERY_MS = 4_000

/** What happened in a range; one that reaches until now is asked for again and again. `paused` holds what is shown. */
export function useActivity(range: Range, synthetic: boolean | null, paused: boolean): [Asked<Activity>, () => void] {
  const { name } = range
  const from = range.name === 'between' ? range.from : 0
  const to = range.name === 'between' ? range.to : 0
  const ask = useCallback(
    (signal: AbortSignal) => {
      const now = Date.now()
      const asked: Range = name === 'between' ? { name, from, to } : { name }
      const step = (first: number, last: number) => stepOf(first, last, now)
      return getActivity({ ...boundsOf(asked, now), step, synthetic }, signal)
    },
    [name, from, to, synthetic],
  )
  const opened = useNow(false)
  const key = `${name} ${from} ${to} ${String(synthetic)}`
  const every = paused || !reachesNow(range, opened) ? undefined : EVERY_MS
  const [asked, again] = useAsked(key, ask, every)
  useStillReading(asked, again, every === undefined && !paused)
  return [asked, again]
}

/** A past range grows too while the server reads its history after a start. */
function useStillReading(asked: Asked<Activity>, again: () => void, alone: boolean) {
  const reading = asked.phase === 'ready' && asked.value.as_of < asked.value.last
  useEffect(() => {
    if (!reading || !alone) return
    const timer = setTimeout(again, EVERY_MS)
    return () => clearTimeout(timer)
  }, [asked, reading, again, alone])
}

import { useCallback, useEffect, useState } from 'react'
import { asRequestError, type RequestError } from './client'

export type Asked<T> =
  | { phase: 'loading' }
  /** `failure`: asked again, and that failed; what is shown is old. */
  | { phase: 'ready'; value: T; at: number; failure: RequestError | null }
  | { phase: 'failed'; error: RequestError }

/**
 * What the server answers, asked again on demand and, with `every_ms`, by itself while the tab is seen. What is shown stays
 * until the new answer is here. `key` names what is asked for: another key begins anew. `ask` must be the same function
 * for the same key (`useCallback`, or one outside of components).
 */
export function useAsked<T>(
  key: string,
  ask: (signal: AbortSignal) => Promise<T>,
  every_ms?: number,
): [Asked<T>, () => void] {
  const [answer, setAnswer] = useState<{ key: string; asked: Asked<T> } | null>(null)
  const [times, setTimes] = useState(0)
  const again = useCallback(() => setTimes((before) => before + 1), [])

  useEffect(() => {
    const request = new AbortController()
    const settle = (change: (before: Asked<T>) => Asked<T>) => {
      if (request.signal.aborted) return
      setAnswer((before) => ({ key, asked: change(before?.key === key ? before.asked : { phase: 'loading' }) }))
    }
    ask(request.signal)
      .then((value) => settle(() => ({ phase: 'ready', value, at: Date.now(), failure: null })))
      .catch((error: unknown) => settle((before) => failed(before, asRequestError(error))))
    return () => request.abort()
  }, [key, ask, times])

  useEffect(() => {
    if (every_ms === undefined) return
    const askIfSeen = () => {
      if (document.visibilityState === 'visible') again()
    }
    const timer = setInterval(askIfSeen, every_ms)
    return () => clearInterval(timer)
  }, [every_ms, again])

  return [answer?.key === key ? answer.asked : { phase: 'loading' }, again]
}

function failed<T>(before: Asked<T>, error: RequestError): Asked<T> {
  return before.phase === 'ready' ? { ...before, failure: error } : { phase: 'failed', error }
}

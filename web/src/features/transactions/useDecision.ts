import { useCallback, useEffect, useState } from 'react'
import { asRequestError, getDecision, type RequestError } from '@/api/client'
import type { Decision } from '@/api/types'

export type Loading =
  | { phase: 'loading' }
  | { phase: 'ready'; decision: Decision }
  | { phase: 'failed'; error: RequestError }

/** One decision, with a way to ask for it again. What is shown stays until the new answer is here. */
export function useDecision(id: string): [Loading, () => void] {
  const [answer, setAnswer] = useState<{ id: string; result: Loading } | null>(null)
  const [asked, setAsked] = useState(0)

  useEffect(() => {
    const request = new AbortController()
    const settle = (result: Loading) => {
      if (!request.signal.aborted) setAnswer({ id, result })
    }
    getDecision(id, request.signal)
      .then((decision) => settle({ phase: 'ready', decision }))
      .catch((error: unknown) => settle({ phase: 'failed', error: asRequestError(error) }))
    return () => request.abort()
  }, [id, asked])

  const again = useCallback(() => setAsked((times) => times + 1), [])
  return [answer?.id === id ? answer.result : { phase: 'loading' }, again]
}

import { useCallback, useEffect, useState } from 'react'
import { getDocument, RequestError } from '@/api/client'
import { readDocument, type OpenApi } from './openapi'

export type Loading = { phase: 'loading' } | { phase: 'ready'; document: OpenApi } | { phase: 'failed'; why: string }

/** The server's own description, with a way to ask for it again. */
export function useDocument(): [Loading, () => void] {
  const [loading, setLoading] = useState<Loading>({ phase: 'loading' })
  const [asked, setAsked] = useState(0)
  useEffect(() => {
    const request = new AbortController()
    const settle = (result: Loading) => {
      if (!request.signal.aborted) setLoading(result)
    }
    getDocument(request.signal)
      .then((answer) => {
        const document = readDocument(answer)
        settle(document ? { phase: 'ready', document } : { phase: 'failed', why: 'It is no OpenAPI document.' })
      })
      .catch((error: unknown) =>
        settle({ phase: 'failed', why: error instanceof RequestError ? error.message : 'It could not be read.' }),
      )
    return () => request.abort()
  }, [asked])
  const again = useCallback(() => setAsked((times) => times + 1), [])
  return [loading, again]
}

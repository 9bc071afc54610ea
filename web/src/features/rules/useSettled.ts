import { useEffect, useState } from 'react'

const SETTLED_MS = 200

/** The text once nobody has typed for a moment, so that not every letter is a question. */
export function useSettled(text: string) {
  const [settled, setSettled] = useState(text)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), SETTLED_MS)
    return () => clearTimeout(timer)
  }, [text])
  return settled
}

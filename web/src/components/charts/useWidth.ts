import { useEffect, useRef, useState, type RefObject } from 'react'

/** The width of an element in CSS pixels, for a picture that is laid out by it; `first` until it was measured. */
export function useWidth<E extends HTMLElement>(first: number): [RefObject<E | null>, number] {
  const host = useRef<E>(null)
  const [width, setWidth] = useState(first)
  useEffect(() => {
    const element = host.current
    if (!element) return
    const observer = new ResizeObserver(([entry]) => {
      const measured = Math.floor(entry?.contentRect.width ?? 0)
      if (measured > 0) setWidth(measured)
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  return [host, width]
}

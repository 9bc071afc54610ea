import { useEffect, useId, useRef, type ReactNode } from 'react'
import './dialog.css'

interface Props {
  title: string
  onClose: () => void
  children: ReactNode
}

/**
 * A question in front of the page. The browser keeps the focus inside, ends it with Escape, and gives the focus back to
 * where it was.
 */
export function Dialog({ title, onClose, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const shown = dialog.current
    shown?.showModal()
    return () => shown?.close()
  }, [])
  // It comes late, and may be of a showing before this one.
  const closed = () => {
    if (!dialog.current?.open) onClose()
  }
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby={id} onClose={closed}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  )
}

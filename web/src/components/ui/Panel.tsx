import { useId, type ReactNode } from 'react'

interface Props {
  title: string
  /** Said beside the title: the unit, the window, what is left out. */
  note?: ReactNode
  /** Stands at the right of the title: a legend, buttons. */
  side?: ReactNode
  className?: string
  children: ReactNode
}

export function Panel({ title, note, side, className, children }: Props) {
  const id = useId()
  return (
    <section className={`panel ${className ?? ''}`} aria-labelledby={id}>
      <header className="panel-head">
        <h2 id={id}>{title}</h2>
        {note && <span className="panel-note">{note}</span>}
        {side && <div className="panel-side">{side}</div>}
      </header>
      {children}
    </section>
  )
}

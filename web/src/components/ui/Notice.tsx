import type { ReactNode } from 'react'

interface Props {
  tone: 'plain' | 'warning' | 'error' | 'good'
  title: string
  children?: ReactNode
  actions?: ReactNode
}

/** A state said in words, where the content would stand: nothing yet, not found, failed. */
export function Notice({ tone, title, children, actions }: Props) {
  return (
    <div className="notice" data-tone={tone} role={tone === 'error' ? 'alert' : 'status'}>
      <p className="notice-title">{title}</p>
      {children}
      {actions && <div className="notice-actions">{actions}</div>}
    </div>
  )
}

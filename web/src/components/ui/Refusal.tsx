import type { ReactNode } from 'react'
import type { Problem } from '@/api/types'
import './dialog.css'

/** Why nothing was changed: every mistake that the server found. */
export function Refusal({ problem, children }: { problem: Problem; children?: ReactNode }) {
  return (
    <div className="refusal" role="alert">
      <p>
        Nothing was changed. {problem.title}: {problem.detail}
      </p>
      {problem.errors.map(({ field, value, expected }) => (
        <p key={`${field} ${value}`}>
          <code>{field}</code> is {value}, expected {expected}
        </p>
      ))}
      {children}
    </div>
  )
}

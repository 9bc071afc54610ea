import type { ReactNode } from 'react'

interface Props<T extends string> {
  label: string
  options: readonly { value: T; text: string; mark?: ReactNode; hideText?: boolean }[]
  value: T
  onChange: (value: T) => void
}

/** One choice of a few, all of them in sight. */
export function Segments<T extends string>({ label, options, value, onChange }: Props<T>) {
  return (
    <div className="segments" role="group" aria-label={label}>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === value}
          title={option.hideText ? option.text : undefined}
          onClick={() => onChange(option.value)}
        >
          {option.mark}
          <span className={option.hideText ? 'unseen' : undefined}>{option.text}</span>
        </button>
      ))}
    </div>
  )
}

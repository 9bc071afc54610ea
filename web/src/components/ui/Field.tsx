import { useId, type ReactElement } from 'react'
import './field.css'

/** What a control needs so that its words belong to it. */
export interface FieldControl {
  id: string
  'aria-describedby'?: string
  'aria-invalid'?: boolean
}

interface Props {
  name: string
  /** What may stand there, said before anything is wrong. */
  hint?: string
  mistake?: string | undefined
  control: (props: FieldControl) => ReactElement
}

/** A control with its name, and with what is wrong with it. */
export function Field({ name, hint, mistake, control }: Props) {
  const id = useId()
  const words = mistake ?? hint
  return (
    <div className="field">
      <label htmlFor={id}>{name}</label>
      {control({ id, ...(words ? { 'aria-describedby': `${id}-words` } : {}), ...(mistake ? { 'aria-invalid': true } : {}) })}
      {words && (
        <p id={`${id}-words`} className={mistake ? 'field-mistake' : 'field-hint'}>
          {words}
        </p>
      )}
    </div>
  )
}

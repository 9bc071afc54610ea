import type { FieldInfo } from '@/api/types'
import { Field, type FieldControl } from '@/components/ui/Field'

interface Props {
  field: FieldInfo
  value: string
  /** As it was. */
  first: string
  mistake: string | undefined
  onChange: (value: string) => void
}

/** One field of the event, marked when it is no longer what it was. */
export function WhatIfField({ field, value, first, mistake, onChange }: Props) {
  const changed = value !== first
  return (
    <div className="what-if-field" data-changed={changed || undefined}>
      <Field
        name={field.name}
        hint={hintOf(field, changed, first)}
        mistake={mistake}
        control={(props) => <Control field={field} value={value} first={first} props={props} onChange={onChange} />}
      />
    </div>
  )
}

function hintOf({ role, optional }: FieldInfo, changed: boolean, first: string) {
  if (role === 'id') return 'stays'
  if (changed) return first === '' ? '● changed; was missing' : `● changed; was ${first}`
  if (role === 'time') return 'RFC 3339, UTC'
  return optional ? 'may be empty' : role
}

interface ControlProps {
  field: FieldInfo
  value: string
  first: string
  props: FieldControl
  onChange: (value: string) => void
}

function Control({ field: { role, values, optional }, value, first, props, onChange }: ControlProps) {
  if (role === 'id') return <input {...props} value={value} readOnly />
  const words = role === 'bool' ? ['true', 'false'] : values
  if (words.length === 0) {
    const numeric = role === 'amount' || role === 'number'
    return (
      <input
        {...props}
        inputMode={numeric ? 'decimal' : 'text'}
        autoComplete="off"
        spellCheck={false}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    )
  }
  return (
    <select {...props} value={value} onChange={(event) => onChange(event.target.value)}>
      {(optional || first === '') && <option value="">missing</option>}
      {optionsOf(words, first).map((word) => (
        <option key={word} value={word}>
          {word}
        </option>
      ))}
    </select>
  )
}

/** A word of the event that the detector does not list can be gone back to. */
function optionsOf(words: readonly string[], first: string) {
  return first === '' || words.includes(first) ? words : [first, ...words]
}

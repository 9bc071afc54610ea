import type { Contribution, FieldInfo } from '@/api/types'
import { received } from './words'

/** What stands in the form, by field. */
export type Entered = Readonly<Record<string, string>>

/** Fields that an event can have before anything is known about it: all but the label. */
export function askable(fields: readonly FieldInfo[]) {
  return fields.filter(({ role }) => role !== 'label')
}

/** The event as text, as the form begins. */
export function enteredFrom(event: Readonly<Record<string, unknown>>, fields: readonly FieldInfo[]): Entered {
  return Object.fromEntries(fields.map(({ name }) => [name, received(event[name])]))
}

export function isChanged(name: string, entered: Entered, first: Entered) {
  return entered[name] !== first[name]
}

/** Only what was changed. An emptied field is taken away; the server says where it may not be. */
export function changesOf(
  event: Readonly<Record<string, unknown>>,
  fields: readonly FieldInfo[],
  entered: Entered,
): Record<string, unknown> {
  const first = enteredFrom(event, fields)
  const changed = fields.filter(({ name, role }) => role !== 'id' && isChanged(name, entered, first))
  return Object.fromEntries(changed.map((field) => [field.name, valueOf(field, entered[field.name] ?? '', event[field.name])]))
}

/** As the event would hold it. What is no number goes as it is: the server knows best what it expects. */
function valueOf({ role }: FieldInfo, text: string, before: unknown): unknown {
  const trimmed = text.trim()
  if (trimmed === '') return null
  if (role === 'bool' && (trimmed === 'true' || trimmed === 'false')) return trimmed === 'true'
  const numeric = role === 'amount' || role === 'number' || typeof before === 'number'
  const value = Number(trimmed)
  return numeric && Number.isFinite(value) ? value : trimmed
}

/** What a feature added before and after. */
export interface Shift {
  feature: string
  before: number
  after: number
  text: string
}

/** Features whose contribution changed, the most changed first. */
export function shiftsOf(before: readonly Contribution[], after: readonly Contribution[]): Shift[] {
  const was = new Map(before.map((one) => [one.feature, one.contribution]))
  const shifts = after.map(({ feature, contribution, text }) => ({ feature, before: was.get(feature) ?? 0, after: contribution, text }))
  const changed = shifts.filter((shift) => shift.before !== shift.after)
  return changed.sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before))
}

/** States and figures of the service in words. */
import type { Health, HealthFigure, HealthPart } from '@/api/types'
import { bytes, count, microseconds, percent, rate } from '@/components/ui/numbers'

export type State = HealthPart['status']

export const STATE_WORDS: Record<State, string> = { ok: 'Ok', degraded: 'Degraded', off: 'Off' }

/** A figure in its unit; a unit that this page does not know stands behind the number as it is. */
export function figureWords({ value, unit }: Pick<HealthFigure, 'value' | 'unit'>) {
  switch (unit) {
    case 'count':
      return count(value)
    case 'bytes':
      return bytes(value)
    case 'us':
      return microseconds(value)
    case 's':
      return value < 120 ? `${rate(value)} s` : `${count(value / 60)} min`
    case 'per_second':
      return `${rate(value)} /s`
    case 'share':
      return percent(value)
    default:
      return `${rate(value)} ${unit}`
  }
}

/** queue_full → Queue full */
export function figureName(name: string) {
  const words = name.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** How everything is, in a sentence; what is switched off is no fault. */
export function overall({ status, parts }: Health) {
  const bad = parts.filter((part) => part.status === 'degraded').map(({ name }) => name)
  const off = parts.filter((part) => part.status === 'off').map(({ name }) => name)
  const unused = off.length > 0 ? ` Not in use here: ${off.join(', ')}.` : ''
  if (bad.length > 0) return `Needs attention: ${bad.join(', ')}.${unused}`
  return status === 'ok' ? `All parts in use work.${unused}` : `Something is not as it should be.${unused}`
}

/** What needs attention comes first, what is off last. */
export function byUrgency(parts: readonly HealthPart[]) {
  const order: Record<State, number> = { degraded: 0, ok: 1, off: 2 }
  return [...parts].sort((a, b) => order[a.status] - order[b.status])
}

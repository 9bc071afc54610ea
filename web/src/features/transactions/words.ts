import type { FeatureInfo, FieldInfo } from '@/api/types'
import { measure } from '@/components/ui/numbers'

/** A value as features have them. */
export function plain(value: number | null | undefined) {
  if (value == null) return 'missing'
  const { whole, fraction } = measure(value)
  return whole + fraction
}

/** A value of an event as it was received: text without quotes, everything else as JSON writes it. */
export function received(value: unknown) {
  if (value === undefined) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Over what a window looks: `by customer_id, window 90d, delay 14d`. Empty of what is no window. */
export function windowWords({ by, window, delay }: FeatureInfo) {
  const parts = [by && `by ${by}`, window && `window ${window}`, delay && `delay ${delay}`]
  return parts.filter(Boolean).join(', ')
}

const ROLES: Readonly<Record<string, string>> = {
  id: 'id of the transaction',
  time: 'time of the event',
  label: 'label: fraud or not',
  key: 'key: the entity whose order counts',
  entity: 'an entity',
  category: 'category',
  number: 'number',
  bool: 'yes or no',
}

/** What the detector says of a field: `category: chip, online; may be missing`. */
export function fieldWords({ role, values, optional }: FieldInfo, currency: string) {
  const what = role === 'amount' ? `amount in ${currency}` : (ROLES[role] ?? role)
  const words = values.length > 0 ? `${what}: ${values.join(', ')}` : what
  return optional ? `${words}; may be missing` : words
}

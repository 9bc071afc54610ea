import type { Alert, AlertChange, AlertConflict } from '@/api/types'
import { firedWords, readFired } from '@/components/ui/fired'
import { count } from '@/components/ui/numbers'
import { span } from '@/components/ui/times'

/** "due in 3 h 20 min", "overdue by 12 min"; of a closed one when that was. */
export function dueWords(alert: Alert, now: number) {
  if (alert.state === 'closed') return alert.closed_at ? `closed ${span((now - Date.parse(alert.closed_at)) / 1_000)} ago` : 'closed'
  const left_s = (Date.parse(alert.due_at) - now) / 1_000
  return left_s < 0 ? `overdue by ${span(-left_s)}` : `due in ${span(left_s)}`
}

export function ageWords(alert: Alert, now: number) {
  return `${span((now - Date.parse(alert.opened_at)) / 1_000)} old`
}

export function sizeWords({ transactions, declined }: Alert) {
  const all = `${count(transactions)} ${transactions === 1 ? 'transaction' : 'transactions'}`
  return declined > 0 ? `${all}, ${count(declined)} declined` : all
}

/** Why, in a few words: the strongest reason, else what fired; in the shadow nothing is the reason of anything. */
export function whyWords({ reasons, rules }: Alert) {
  const fired = rules.filter((rule) => !readFired(rule).inShadow)
  const words = fired.map((rule) => (readFired(rule).isList ? firedWords(rule) : `rule ${rule}`))
  return reasons[0]?.text ?? (words.join(', ') || 'the score alone')
}

/** "ada closed it as fraud" */
export function changeWords({ action, by, to }: AlertChange) {
  switch (action) {
    case 'assign':
      return to == null ? `${by} released it` : to === by ? `${by} took it` : `${by} gave it to ${to}`
    case 'note':
      return `${by} noted`
    case 'close':
      return `${by} closed it as ${to ?? 'known'}`
    case 'reopen':
      return to == null ? `${by} asked to reopen it` : `${by} agreed: it is ${to}'s again`
  }
}

/** What came between: "grace closed it as fraud 12 s ago". */
export function conflictWords({ title, detail, last_change }: AlertConflict, now: number) {
  if (title === 'not allowed' || !last_change) return detail
  return `${changeWords(last_change)} ${span((now - Date.parse(last_change.at)) / 1_000)} ago`
}

import { useCallback } from 'react'
import { listWaiting } from '@/api/inspection'
import { useAsked } from '@/api/useAsked'
import type { Alert, Decision } from '@/api/types'
import { Link } from '@/components/ui/Link'
import { count } from '@/components/ui/numbers'

/** Leads to the alert of this entity that waits for somebody; nothing where none does. */
export function AlertLink({ decision, entity }: { decision: Decision; entity: string }) {
  const ask = useCallback((signal: AbortSignal) => listWaiting(entity, signal), [entity])
  const [asked] = useAsked(entity, ask)
  if (asked.phase !== 'ready') return null
  const alert = nearestOf(asked.value.items, decision)
  if (!alert) return null
  return (
    <Link href={`/alerts/${alert.id}`} className="alert-link">
      {words(alert)}
    </Link>
  )
}

/** Of several the one whose time this transaction is in; else the one that comes first. */
function nearestOf(alerts: readonly Alert[], { event_time }: Decision) {
  const at = Date.parse(event_time)
  const around = alerts.find((alert) => Date.parse(alert.first_event_time) <= at && at <= Date.parse(alert.last_event_time))
  return around ?? alerts[0]
}

function words({ entity, assignee, transactions, overdue }: Alert) {
  const what = `${count(transactions)} ${transactions === 1 ? 'transaction' : 'transactions'}`
  const who = assignee ? `with ${assignee}` : 'with nobody yet'
  return `Alert on ${entity} waits: ${what}, ${who}${overdue ? ', overdue' : ''}`
}

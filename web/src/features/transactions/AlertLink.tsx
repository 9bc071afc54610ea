import { useCallback } from 'react'
import { listWaiting } from '@/api/alerts'
import { useAsked } from '@/api/useAsked'
import type { Alert, Decision } from '@/api/types'
import { Link } from '@/components/ui/Link'
import { count } from '@/components/ui/numbers'

/** Leads to the alert of this entity that waits for somebody. As high whatever the answer, so that nothing moves. */
export function AlertLink({ decision, entity }: { decision: Decision; entity: string }) {
  const ask = useCallback((signal: AbortSignal) => listWaiting(entity, signal), [entity])
  const [asked] = useAsked(entity, ask)
  const alert = asked.phase === 'ready' ? nearestOf(asked.value.items, decision) : undefined
  if (!alert) {
    return (
      <p className="alert-link" data-none>
        {NONE_WORDS[asked.phase]}
      </p>
    )
  }
  return (
    <Link href={`/alerts/${alert.id}`} className="alert-link">
      {words(alert)}
    </Link>
  )
}

const NONE_WORDS = { loading: 'Looking for alerts …', ready: 'No alert waits', failed: 'Alerts did not come' }

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

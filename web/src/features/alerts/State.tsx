import type { Alert } from '@/api/types'

/** How it stands, and with whom or as what. */
export function State({ alert }: { alert: Alert }) {
  const more = alert.state === 'closed' ? alert.disposition : alert.assignee
  return (
    <span className="alert-state" data-state={alert.state}>
      {alert.state}
      {more && <span className="alert-whose"> {alert.state === 'closed' ? `as ${more}` : `to ${more}`}</span>}
    </span>
  )
}

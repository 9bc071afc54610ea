import { useEffect, useState } from 'react'
import { liveStore } from '@/api/store'
import { Link } from '@/components/ui/Link'
import { amount } from '@/components/ui/numbers'
import { dismissed, unwatched, watch } from './alertWatch'

/** Tells of a new alert, over the page. The region is always there, or nobody would hear what comes into it. */
export function AlertBanner() {
  const [{ shown }, setWatch] = useState(() => watch(unwatched, liveStore.get(), Date.now()))
  useEffect(() => liveStore.subscribe(() => setWatch((before) => watch(before, liveStore.get(), Date.now()))), [])
  const currency = liveStore.get().stats?.currency ?? ''
  return (
    <aside className="alert-banner" aria-label="New alert">
      <div className="unseen" role="status" aria-live="polite">
        {shown && `New alert: ${shown.entity}, ${amount(shown.amount, currency)} ${currency}`}
      </div>
      {shown && (
        <div data-outcome={shown.outcome}>
          <span>
            <b>New alert</b>: {shown.entity}, {amount(shown.amount, currency)} {currency}
            {shown.reasons[0] && `, ${shown.reasons[0].text}`}
          </span>
          <Link href={`/alerts/${shown.id}`}>Open alert {shown.id}</Link>
          <button type="button" className="button" onClick={() => setWatch(dismissed)}>
            Dismiss
          </button>
        </div>
      )}
    </aside>
  )
}

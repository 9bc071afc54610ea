import { liveFeed } from '@/api/live'
import { useLive } from '@/api/store'
import { Notice } from '@/components/ui/Notice'
import { span } from '@/components/ui/times'
import { useNow } from '@/components/ui/useNow'

/** True from the first failure to the first message: there is nothing to show yet. */
export function useUnreachable() {
  const connection = useLive((state) => state.connection)
  const never = useLive((state) => state.receivedAt === null)
  return never && (connection.phase === 'waiting' || (connection.phase === 'connecting' && connection.again))
}

/** Says above the page that its numbers are old. */
export function StaleNotice() {
  const phase = useLive((state) => state.connection.phase)
  const receivedAt = useLive((state) => state.receivedAt)
  const silent = phase === 'stale' || (receivedAt !== null && phase !== 'live')
  const now = useNow(silent)

  if (receivedAt === null || !silent) return null
  return (
    <div className="stale-bar" role="status">
      <strong>{phase === 'stale' ? 'The server has gone silent.' : 'The connection is lost.'}</strong>{' '}
      <span>
        These are the numbers of <span aria-hidden="true">{span((now - receivedAt) / 1_000)} ago</span>
        <span className="unseen">the last message</span>.
      </span>
      {phase === 'waiting' && <RetryButton />}
    </div>
  )
}

export function Unreachable() {
  return (
    <Notice tone="error" title="The server cannot be reached" actions={<RetryButton />}>
      <p>
        Nothing answers at <code>{location.host}</code>. Start it with <code>redflag demo</code>; this page connects by
        itself.
      </p>
    </Notice>
  )
}

function RetryButton() {
  return (
    <button type="button" className="button" onClick={liveFeed.retryNow}>
      Try now
    </button>
  )
}

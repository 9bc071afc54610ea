import { useLive, type Connection } from '@/api/store'
import { useNow } from '@/components/ui/useNow'

export function ConnectionPill() {
  const connection = useLive((state) => state.connection)
  const now = useNow(connection.phase === 'waiting')
  return (
    <span className="pill" data-phase={connection.phase}>
      <span className="pill-dot" aria-hidden="true" />
      {/* What counts down is not read out every second; the state is, when it changes. */}
      <span aria-hidden="true">{inWords(connection, now)}</span>
      <span className="unseen" role="status">
        Connection: {spoken[connection.phase]}
      </span>
    </span>
  )
}

const spoken: Record<Connection['phase'], string> = {
  connecting: 'connecting',
  live: 'live',
  stale: 'stale, the server has been silent',
  waiting: 'lost, reconnecting',
}

function inWords(connection: Connection, now: number) {
  if (connection.phase !== 'waiting') return connection.phase
  return `reconnecting in ${secondsUntil(connection.retryAt, now)} s`
}

export function secondsUntil(at: number, now: number) {
  return Math.max(0, Math.ceil((at - now) / 1_000))
}

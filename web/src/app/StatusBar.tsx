import { useLive } from '@/api/store'
import type { Stats } from '@/api/types'
import { bytes, count, countShort } from '@/components/ui/numbers'
import { span } from '@/components/ui/times'

export function StatusBar() {
  const stats = useLive((state) => state.stats)
  return <footer className="status-bar">{stats && facts(stats).map((fact) => <span key={fact}>{fact}</span>)}</footer>
}

function facts({ state, totals, started_at, now }: Stats) {
  return [
    `state: ${count(state.entities)} entities, ${countShort(state.events)} events, ${bytes(state.bytes)}`,
    `labels: ${count(totals.labels)}, ${count(totals.labelled_fraud)} of them fraud`,
    `up ${span((Date.parse(now) - Date.parse(started_at)) / 1_000)}`,
  ]
}

import { useLive } from '@/api/store'
import type { AlertCounts } from '@/api/types'
import { amount, count } from '@/components/ui/numbers'
import { Skeleton } from '@/components/ui/Skeleton'

interface Tile {
  name: string
  value: (counts: AlertCounts, currency: string) => string
  detail: string
}

const tiles: readonly Tile[] = [
  { name: 'Waiting', value: ({ open, assigned }) => count(open + assigned), detail: 'open and assigned' },
  { name: 'Open', value: ({ open }) => count(open), detail: 'nobody works on them' },
  { name: 'Assigned', value: ({ assigned }) => count(assigned), detail: 'somebody does' },
  { name: 'Overdue', value: ({ overdue }) => count(overdue), detail: 'past their time' },
  { name: 'Expected loss', value: ({ waiting_amount }, currency) => `${amount(waiting_amount, currency)} ${currency}`, detail: 'of those that wait' },
  { name: 'Closed', value: ({ closed }) => count(closed), detail: 'known what they were' },
]

export function AlertTiles({ counts }: { counts: AlertCounts | null }) {
  const currency = useLive((state) => state.stats?.currency ?? '')
  return (
    <section className="tiles" aria-label="Alerts by state" aria-busy={!counts}>
      <dl>
        {tiles.map(({ name, value, detail }) => (
          <div key={name} className="tile">
            <dt>{name}</dt>
            <dd className="tile-value" data-tile={name}>
              {counts ? value(counts, currency) : <Skeleton width="4ch" />}
            </dd>
            <dd className="tile-detail">{detail}</dd>
          </div>
        ))}
      </dl>
    </section>
  )
}

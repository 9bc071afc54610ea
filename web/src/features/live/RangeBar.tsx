import { useState } from 'react'
import { replacePlace, usePlace, navigate } from '@/components/ui/location'
import { Segments } from '@/components/ui/Segments'
import { moved, placeOfChoice, placeOfRange, RANGES, readSynthetic, type Range } from './range'
import { fieldText, fieldTime, ownZone, useZone, type Zone } from './zone'

interface Props {
  range: Range
  /** What is shown, in ms since the epoch. */
  shown: { from: number; to: number }
}

const zones = [
  { value: 'utc', text: 'UTC' },
  { value: 'local', text: 'Local' },
] as const

const kinds = [
  { value: 'both', text: 'Both' },
  { value: 'false', text: 'Real' },
  { value: 'true', text: 'Synthetic' },
] as const

/** Which stretch of time the page shows, and whose decisions. */
export function RangeBar({ range, shown, said }: Props & { said: string }) {
  const { query } = usePlace()
  const [zone, setZone] = useZone()
  const go = (next: Range) => navigate(placeOfRange(query, next))
  const synthetic = readSynthetic(query)
  return (
    <section className="range-bar" aria-label="Time">
      <Segments<Range['name']>
        label="Range"
        options={RANGES}
        value={range.name}
        onChange={(name) => name !== 'between' && go({ name })}
      />
      <Steps shown={shown} range={range} go={go} />
      <Between key={`${zone} ${range.name === 'between' ? `${range.from} ${range.to}` : range.name}`} shown={shown} zone={zone} go={go} />
      <Segments
        label="Decisions counted"
        options={kinds}
        value={synthetic === null ? 'both' : synthetic ? 'true' : 'false'}
        onChange={(kind) => replacePlace(placeOfChoice(query, 'synthetic', kind === 'both' ? null : kind))}
      />
      <Segments label="Time zone" options={zones} value={zone} onChange={setZone} />
      <p className="range-zone">
        {zoneWords(zone)}{' '}
        <span className="range-said" role="status">
          {said}
        </span>
      </p>
    </section>
  )
}

function Steps({ range, shown, go }: Props & { go: (range: Range) => void }) {
  return (
    <span className="range-steps">
      <button type="button" className="button" onClick={() => go(moved(shown, -1, Date.now()))}>
        Earlier
      </button>
      <button type="button" className="button" disabled={range.name !== 'between'} onClick={() => go(moved(shown, 1, Date.now()))}>
        Later
      </button>
      <button type="button" className="button" disabled={range.name === 'live'} onClick={() => go({ name: 'live' })}>
        Back to live
      </button>
    </span>
  )
}

/** Typed and then shown: a date half written is no range. */
function Between({ shown, zone, go }: { shown: Props['shown']; zone: Zone; go: (range: Range) => void }) {
  const [typed, setTyped] = useState<{ from: string; to: string } | null>(null)
  const from = typed?.from ?? fieldText(shown.from, zone)
  const to = typed?.to ?? fieldText(shown.to, zone)
  const wrong = !(fieldTime(from, zone) < fieldTime(to, zone))
  const show = () => go({ name: 'between', from: fieldTime(from, zone), to: fieldTime(to, zone) })
  return (
    <form
      className="range-between"
      aria-label="From and to"
      onSubmit={(event) => {
        event.preventDefault()
        if (!wrong) show()
      }}
    >
      <input type="datetime-local" aria-label="From" value={from} onChange={(event) => setTyped({ from: event.target.value, to })} />
      <span aria-hidden="true">–</span>
      <input type="datetime-local" aria-label="To" aria-invalid={wrong} value={to} onChange={(event) => setTyped({ from, to: event.target.value })} />
      <button type="submit" className="button" disabled={wrong} title={wrong ? 'From must be before to' : undefined}>
        Show
      </button>
    </form>
  )
}

function zoneWords(zone: Zone) {
  const own = ownZone(new Date())
  return zone === 'utc' ? `Times in UTC; your zone is ${own}.` : `Times in ${own}.`
}

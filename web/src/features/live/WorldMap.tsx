import { useMemo, useRef, useState } from 'react'
import type { Breakdown, BreakdownValue } from '@/api/types'
import { ChartMenu, type ChartTable } from '@/components/charts/ChartMenu'
import { count, percent } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { Segments } from '@/components/ui/Segments'
import world from './world.json'

const SHOWN = [
  { value: 'decisions', text: 'Transactions' },
  { value: 'share', text: 'Alert share' },
] as const

type Shown = (typeof SHOWN)[number]['value']

const countries = Object.entries(world.countries as Record<string, { name: string; path: string }>)
const [width = 0, height = 0] = world.size

/** The decisions of the range by country, on a map that is in the bundle: no tiles are fetched from anywhere. */
export default function WorldMap({ breakdown }: { breakdown: Breakdown }) {
  const [shown, setShown] = useState<Shown>('decisions')
  const [pointed, setPointed] = useState<string | null>(null)
  const picture = useRef<HTMLDivElement>(null)
  const values = useMemo(() => new Map(breakdown.values.map((value) => [value.value, value])), [breakdown])
  const most = Math.max(...breakdown.values.map((value) => heightOf(value, shown)), Number.MIN_VALUE)
  const unplaced = breakdown.values.filter(({ value }) => !(value in world.countries))
  const side = (
    <>
      <Segments label="What is shown on the map" options={SHOWN} value={shown} onChange={setShown} />
      <ChartMenu name="countries" table={() => tableOf(breakdown)} picture={picture} />
    </>
  )
  return (
    <Panel title="On the map" note="by country of the transaction" side={side} className="world-panel">
      <div ref={picture} className="world">
        <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-label={summaryOf(breakdown)} onPointerLeave={() => setPointed(null)}>
          {world.unnamed.map((path) => (
            <path key={path.slice(0, 24)} d={path} className="country" />
          ))}
          {countries.map(([code, { path }]) => (
            <path
              key={code}
              d={path}
              className="country"
              data-pointed={code === pointed || undefined}
              style={fillOf(values.get(code), shown, most)}
              onPointerEnter={() => setPointed(code)}
            />
          ))}
        </svg>
      </div>
      <p className="world-words" aria-hidden="true">
        {pointed === null ? legendOf(shown, most) : wordsOf(pointed, values.get(pointed))}
      </p>
      {unplaced.length > 0 && <p className="world-words">Not on the map: {unplaced.map(({ value, decisions }) => `${value} ${count(decisions)}`).join(', ')}</p>}
    </Panel>
  )
}

function heightOf(value: BreakdownValue, shown: Shown) {
  return shown === 'decisions' ? value.decisions : shareOf(value)
}

function shareOf({ in_review, declined, decisions }: BreakdownValue) {
  return decisions === 0 ? 0 : (in_review + declined) / decisions
}

/** The root, because one country has nearly all of them: what is a hundredth is still seen. */
function fillOf(value: BreakdownValue | undefined, shown: Shown, most: number) {
  if (!value) return undefined
  const part = Math.sqrt(heightOf(value, shown) / most)
  const token = shown === 'decisions' ? '--chart-volume' : '--decline'
  return { fill: `color-mix(in srgb, var(${token}) ${Math.round(12 + 88 * part)}%, var(--track))` }
}

function nameOf(code: string) {
  const known = world.countries as Record<string, { name: string }>
  return known[code]?.name ?? code
}

function wordsOf(code: string, value: BreakdownValue | undefined) {
  if (!value) return `${nameOf(code)}: none`
  return `${nameOf(code)}: ${count(value.decisions)} transactions, ${percent(shareOf(value))} alerts, ${count(value.frauds)} known frauds`
}

function legendOf(shown: Shown, most: number) {
  const top = shown === 'decisions' ? count(most) : percent(most)
  return `The darker, the more; the most is ${top}. Point at a country for its figures.`
}

function summaryOf({ values }: Breakdown) {
  const first = values.slice(0, 5).map((value) => `${nameOf(value.value)} ${count(value.decisions)}`)
  return `Transactions by country, the most: ${first.join(', ')}. All are in the table by country.`
}

function tableOf({ values }: Breakdown): ChartTable {
  const rows = values.map((value) => [value.value, value.decisions, value.in_review, value.declined, value.frauds])
  return { columns: ['country', 'decisions', 'in_review', 'declined', 'frauds'], rows }
}

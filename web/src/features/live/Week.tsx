import { useRef, useState } from 'react'
import type { WeekHour } from '@/api/types'
import { ChartMenu, type ChartTable } from '@/components/charts/ChartMenu'
import { count, share } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { Segments } from '@/components/ui/Segments'

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as const
const HOURS = Array.from({ length: 24 }, (_, hour) => hour)

/** Of the picture, in its own units. */
const CELL = { width: 40, height: 22, gap: 2 }
const LEFT = 84
const TOP = 18

const kinds = [
  { value: 'transactions', text: 'Transactions' },
  { value: 'share', text: 'Alert share' },
] as const

type Kind = (typeof kinds)[number]['value']

/** When in the week transactions happen: tinted squares for the eye, and the same as a table for who hears the page. */
export function Week({ week }: { week: readonly WeekHour[] }) {
  const [kind, setKind] = useState<Kind>('transactions')
  const [pointed, setPointed] = useState<number | null>(null)
  const picture = useRef<HTMLDivElement>(null)
  const side = (
    <>
      <Segments label="Shown" options={kinds} value={kind} onChange={setKind} />
      <ChartMenu name="week" table={() => tableOf(week)} picture={picture} />
    </>
  )
  return (
    <Panel title="Hours of the week" note={pointed === null ? 'when transactions happened, UTC' : wordsOf(week, pointed)} side={side}>
      <div className="week-scroll" tabIndex={0} role="region" aria-label="Hours of the week, scrollable">
        <div ref={picture} className="week-picture">
          <Squares week={week} kind={kind} onPoint={setPointed} />
        </div>
        <WeekTable week={week} kind={kind} />
      </div>
    </Panel>
  )
}

interface SquaresProps {
  week: readonly WeekHour[]
  kind: Kind
  onPoint: (at: number | null) => void
}

function Squares({ week, kind, onPoint }: SquaresProps) {
  const most = Math.max(...week.map((hour) => valueOf(hour, kind)), 0)
  const size = `0 0 ${LEFT + 24 * CELL.width} ${TOP + 7 * CELL.height}`
  return (
    <svg viewBox={size} className="week" aria-hidden="true" onPointerLeave={() => onPoint(null)}>
      {HOURS.map((hour) => (
        <text key={hour} x={LEFT + (hour + 0.5) * CELL.width} y={12} textAnchor="middle">
          {hour}
        </text>
      ))}
      {DAYS.map((day, row) => (
        <text key={day} x={0} y={TOP + (row + 0.7) * CELL.height}>
          {day}
        </text>
      ))}
      {week.map((hour, at) => (
        <rect
          key={at}
          x={LEFT + (at % 24) * CELL.width}
          y={TOP + Math.floor(at / 24) * CELL.height}
          width={CELL.width - CELL.gap}
          height={CELL.height - CELL.gap}
          rx={2}
          style={{ fill: tint(most === 0 ? 0 : valueOf(hour, kind) / most, kind) }}
          onPointerEnter={() => onPoint(at)}
        />
      ))}
    </svg>
  )
}

function tint(strength: number, kind: Kind) {
  const token = kind === 'share' ? '--review' : '--chart-volume'
  return `color-mix(in srgb, var(${token}) ${Math.round(4 + strength * 90)}%, var(--panel))`
}

function WeekTable({ week, kind }: { week: readonly WeekHour[]; kind: Kind }) {
  return (
    <table className="unseen">
      <caption>{kind === 'share' ? 'Alert share' : 'Transactions'} by weekday and hour</caption>
      <thead>
        <tr>
          <td />
          {HOURS.map((hour) => (
            <th key={hour} scope="col">
              {hour}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {DAYS.map((day, row) => (
          <tr key={day}>
            <th scope="row">{day}</th>
            {HOURS.map((hour) => (
              <td key={hour}>{textOf(week[row * 24 + hour] ?? NOTHING, kind)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function textOf({ decisions, alerts }: WeekHour, kind: Kind) {
  return kind === 'share' ? share(alerts, decisions) : count(decisions)
}

function wordsOf(week: readonly WeekHour[], at: number) {
  const { decisions, alerts } = week[at] ?? NOTHING
  const hour = at % 24
  return `${DAYS[Math.floor(at / 24)] ?? ''} ${hour} to ${hour + 1}: ${count(decisions)} transactions, ${count(alerts)} alerts`
}

function valueOf({ decisions, alerts }: WeekHour, kind: Kind) {
  if (kind === 'transactions') return decisions
  return decisions === 0 ? 0 : alerts / decisions
}

function tableOf(week: readonly WeekHour[]): ChartTable {
  const rows = week.map(({ decisions, alerts }, at) => [DAYS[Math.floor(at / 24)] ?? '', at % 24, decisions, alerts])
  return { columns: ['weekday', 'hour', 'decisions', 'alerts'], rows }
}

const NOTHING: WeekHour = { decisions: 0, alerts: 0 }

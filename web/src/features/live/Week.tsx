import { useState } from 'react'
import type { WeekHour } from '@/api/types'
import { count, share } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { Segments } from '@/components/ui/Segments'

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] as const
const HOURS = Array.from({ length: 24 }, (_, hour) => hour)

const kinds = [
  { value: 'transactions', text: 'Transactions' },
  { value: 'share', text: 'Alert share' },
] as const

type Kind = (typeof kinds)[number]['value']

/** When in the week transactions happen: a table whose cells are tinted, so that everybody reads the same numbers. */
export function Week({ week }: { week: readonly WeekHour[] }) {
  const [kind, setKind] = useState<Kind>('transactions')
  const most = Math.max(...week.map((hour) => valueOf(hour, kind)), 0)
  return (
    <Panel title="Hours of the week" note="when transactions happened, UTC" side={<Segments label="Shown" options={kinds} value={kind} onChange={setKind} />}>
      <div className="week-scroll" tabIndex={0} role="region" aria-label="Hours of the week, scrollable">
        <table className="week">
          <caption className="unseen">{kind === 'share' ? 'Alert share' : 'Transactions'} by weekday and hour</caption>
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
                  <HourCell key={hour} hour={week[row * 24 + hour] ?? NOTHING} kind={kind} most={most} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}

function HourCell({ hour, kind, most }: { hour: WeekHour; kind: Kind; most: number }) {
  const strength = most === 0 ? 0 : valueOf(hour, kind) / most
  const words = kind === 'share' ? share(hour.alerts, hour.decisions) : count(hour.decisions)
  const tint = `color-mix(in srgb, var(${kind === 'share' ? '--review' : '--chart-volume'}) ${Math.round(strength * 85)}%, transparent)`
  return (
    <td style={{ background: tint }} title={`${count(hour.decisions)} transactions, ${count(hour.alerts)} alerts`}>
      <span className="unseen">{words}</span>
    </td>
  )
}

function valueOf({ decisions, alerts }: WeekHour, kind: Kind) {
  if (kind === 'transactions') return decisions
  return decisions === 0 ? 0 : alerts / decisions
}

const NOTHING: WeekHour = { decisions: 0, alerts: 0 }

import { useMemo } from 'react'
import type { Activity, ActivityCounts } from '@/api/types'
import { Histogram } from '@/components/charts/Histogram'
import { navigate } from '@/components/ui/location'
import { count, countShort } from '@/components/ui/numbers'
import { allSteps, flagged, frauds, savings, scoreTable, stepTable, volumes } from './activitySeries'
import { Charted } from './Charted'
import { placeOfRange, STEP_MS } from './range'
import { RangeChart, type RangeChartSpec } from './RangeChart'
import { useZone } from './zone'

const volumeSpec: RangeChartSpec = {
  label: 'Transactions over time',
  series: [{ name: 'Transactions', token: '--chart-volume', shape: 'bars' }],
  format: count,
  mark: countShort,
}

const alertsSpec: RangeChartSpec = {
  label: 'Alerts over time',
  series: [
    { name: 'In review', token: '--review', shape: 'bars' },
    { name: 'Declined', token: '--decline', shape: 'bars' },
  ],
  format: count,
  mark: countShort,
}

const fraudSpec: RangeChartSpec = {
  label: 'Labelled frauds over time',
  series: [{ name: 'Labelled fraud', token: '--chart-fraud', shape: 'bars' }],
  format: count,
  mark: countShort,
}

const savedSpec: RangeChartSpec = {
  label: 'Money saved over time',
  series: [
    { name: 'Expected', token: '--chart-score', shape: 'bars' },
    { name: 'Saved', token: '--good', shape: 'bars' },
  ],
  format: count,
  mark: countShort,
}

const VOLUME = ['decisions', 'in_review', 'declined'] as const satisfies readonly (keyof ActivityCounts)[]
const MONEY = ['frauds', 'fraud_amount', 'saved_amount', 'expected_saved_amount'] as const satisfies readonly (keyof ActivityCounts)[]

/** A range over time: drag to look closer. */
export function RangeCharts({ activity, currency }: { activity: Activity; currency: string }) {
  const [zone] = useZone()
  const { from, to, step, points } = activity
  const steps = useMemo(() => allSteps({ from, to, step, points }), [from, to, step, points])
  const volume = useMemo(() => volumes(steps), [steps])
  const alerts = useMemo(() => flagged(steps), [steps])
  const fraud = useMemo(() => frauds(steps), [steps])
  const saved = useMemo(() => savings(steps), [steps])
  const common = { step_s: STEP_MS[step] / 1_000, zone, onZoom: zoomTo }
  return (
    <div className="charts range-charts">
      <Charted title="Transactions and alerts" note={`by the ${step}; drag to look closer`} file="transactions" table={() => stepTable(steps, VOLUME)}>
        <RangeChart spec={volumeSpec} data={volume} {...common} />
        <RangeChart spec={alertsSpec} data={alerts} {...common} />
      </Charted>
      <Charted title="Fraud and money saved" note={`by the ${step}, in ${currency}`} file="fraud" table={() => stepTable(steps, MONEY)}>
        <RangeChart spec={fraudSpec} data={fraud} {...common} />
        <RangeChart spec={savedSpec} data={saved} {...common} />
      </Charted>
      <Charted title="Scores of the range" note="log scale" file="scores" table={() => scoreTable(activity.score_histogram)}>
        <Histogram label="Decisions of the range by score" name="Scored" token="--chart-score" bins={activity.score_histogram} />
      </Charted>
    </div>
  )
}

function zoomTo(from: number, to: number) {
  const query = new URLSearchParams(location.search)
  navigate(placeOfRange(query, { name: 'between', from: from * 1_000, to: to * 1_000 }))
}

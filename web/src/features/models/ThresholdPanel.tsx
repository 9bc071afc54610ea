import { useEffect, useMemo, useState, type CSSProperties } from 'react'
import { useLive } from '@/api/store'
import type { ModelPerformance, Performance, ThresholdPoint } from '@/api/types'
import { CurveChart, type CurveSpec } from '@/components/charts/CurveChart'
import { replacePlace, usePlace } from '@/components/ui/location'
import { amount, count, countShort, NONE, rate } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { Segments } from '@/components/ui/Segments'
import { Confusion } from './Confusion'
import { cheapest, halvesAlerts, nearestIndex, reachesRecall } from './thresholds'
import { figure, partOf } from './words'

/** A slider moves faster than an address should change. */
const ADDRESS_AFTER_MS = 300
const WANTED_RECALL = 0.8

const scoreAxis = { name: 'threshold', format: figure, mark: String, range: [0, 1] as [number, number] }

const alertsSpec: CurveSpec = {
  name: 'alerts-by-threshold',
  label: 'Alerts a day by threshold, on a logarithmic scale',
  x: scoreAxis,
  y: { name: 'alerts a day', format: rate, mark: countShort, log: true },
}

const costSpec: CurveSpec = {
  name: 'cost-by-threshold',
  label: 'Cost a day by threshold, on a logarithmic scale',
  x: scoreAxis,
  y: { name: 'cost a day', format: count, mark: countShort, log: true },
}

/** What a threshold of review would have done. The model and the threshold are in the address, so a finding can be sent. */
export function ThresholdPanel({ performance }: { performance: Performance }) {
  const { query } = usePlace()
  const models = performance.models.filter(({ thresholds }) => thresholds.length > 0)
  const model = models.find(({ id }) => id === query.get('model')) ?? models[0]
  if (!model) return null
  const options = models.map(({ id, role }) => ({ value: id, text: role === 'champion' ? `${id}, champion` : id }))
  const choose = (id: string) => replacePlace(placeWith(query, 'model', id))
  return (
    <Panel
      title="Where to set the threshold"
      note="the least score for a review; what the policy declines it declines at any"
      className="models-figures threshold"
      side={models.length > 1 && <Segments label="Model" options={options} value={model.id} onChange={choose} />}
    >
      <Thresholds key={model.id} model={model} present_score={performance.review_score_min} />
    </Panel>
  )
}

function Thresholds({ model: { thresholds }, present_score }: { model: ModelPerformance; present_score: number }) {
  const currency = useLive((state) => state.stats?.currency) ?? ''
  const present = nearestIndex(thresholds, present_score)
  const [score, setScore] = useAddressedScore(present_score)
  const chosen = nearestIndex(thresholds, score)
  const [point, now] = [thresholds[chosen], thresholds[present]]
  if (!point || !now) return null
  const choose = (index: number) => setScore(thresholds[index]?.score ?? present_score)
  return (
    <>
      <Answers thresholds={thresholds} present={present} chosen={chosen} onChoose={choose} />
      <Slider thresholds={thresholds} present={present} chosen={chosen} onChoose={choose} />
      <p className="threshold-said" role="status">
        {inWords(point, now)}
      </p>
      <Tiles point={point} now={now} currency={currency} />
      <div className="threshold-body">
        <Confusion point={point} />
        <ThresholdCharts thresholds={thresholds} present={now.score} chosen={point.score} currency={currency} />
      </div>
    </>
  )
}

interface ChoiceProps {
  thresholds: readonly ThresholdPoint[]
  present: number
  chosen: number
  onChoose: (index: number) => void
}

/** Questions that people come with. */
function Answers({ thresholds, present, chosen, onChoose }: ChoiceProps) {
  const answers = [
    { text: 'As now', index: present, none: '' },
    { text: 'Halve the alerts', index: halvesAlerts(thresholds, present), none: 'no measured threshold has half the alerts' },
    { text: 'Cheapest', index: cheapest(thresholds), none: 'the detector does not say what a review costs' },
    { text: 'Recall of 80 %', index: reachesRecall(thresholds, WANTED_RECALL), none: 'no threshold finds 80 % of the frauds' },
  ]
  return (
    <div className="threshold-answers" role="group" aria-label="Move the threshold to">
      {answers.map(({ text, index, none }) => (
        <button
          key={text}
          type="button"
          className="button"
          disabled={index === null}
          title={index === null ? none : undefined}
          aria-pressed={index === chosen}
          onClick={() => index !== null && onChoose(index)}
        >
          {text}
        </button>
      ))}
    </div>
  )
}

function Slider({ thresholds, present, chosen, onChoose }: ChoiceProps) {
  const last = Math.max(1, thresholds.length - 1)
  const point = thresholds[chosen]
  const style = { '--present': present / last } as CSSProperties
  return (
    <div className="slider" style={style}>
      <label htmlFor="threshold">
        Threshold <b>{figure(point?.score)}</b>
      </label>
      <span className="slider-track">
        <input
          id="threshold"
          type="range"
          min={0}
          max={last}
          step={1}
          value={chosen}
          disabled={thresholds.length < 2}
          aria-valuetext={point && `${figure(point.score)}: ${rate(point.alerts_per_day)} alerts a day, recall ${partOf(point.recall)}`}
          onChange={(event) => onChoose(Number(event.target.value))}
        />
        <span className="slider-present" aria-hidden="true">
          now {figure(thresholds[present]?.score)}
        </span>
      </span>
      <span className="slider-ends" aria-hidden="true">
        <span>more alerts</span>
        <span>fewer alerts</span>
      </span>
    </div>
  )
}

function inWords(point: ThresholdPoint, now: ThresholdPoint) {
  const at = `At ${figure(point.score)}`
  if (point.score === now.score) {
    return `${at}, as now, there are ${rate(point.alerts_per_day)} alerts a day; they find ${partOf(point.recall)} of the frauds.`
  }
  const instead = `${at} instead of ${figure(now.score)} there would have been ${rate(point.alerts_per_day)} alerts a day instead of ${rate(now.alerts_per_day)}`
  return `${instead}; they would have found ${partOf(point.recall)} of the frauds instead of ${partOf(now.recall)}.`
}

interface TilesProps {
  point: ThresholdPoint
  now: ThresholdPoint
  currency: string
}

function Tiles({ point, now, currency }: TilesProps) {
  const money = (value: number | null | undefined) => (value == null ? NONE : count(value))
  const tiles = [
    { name: 'Alerts a day', of: (at: ThresholdPoint) => rate(at.alerts_per_day) },
    { name: 'Precision', of: (at: ThresholdPoint) => partOf(at.precision) },
    { name: 'Recall', of: (at: ThresholdPoint) => partOf(at.recall) },
    { name: 'Cost a day', of: (at: ThresholdPoint) => money(at.cost_per_day), unit: currency },
    { name: 'Caught a day', of: (at: ThresholdPoint) => money(at.caught_amount_per_day), unit: currency },
  ]
  return (
    <div className="tiles threshold-tiles">
      <dl>
        {tiles.map(({ name, of, unit }) => (
          <div key={name} className="tile">
            <dt>{name}</dt>
            <dd className="tile-value" data-tile={name}>
              {of(point)}
              {unit && of(point) !== NONE && <span className="unit"> {unit}</span>}
            </dd>
            <dd className="tile-detail">now {of(now)}</dd>
          </div>
        ))}
      </dl>
    </div>
  )
}

interface ChartsProps {
  thresholds: readonly ThresholdPoint[]
  present: number
  chosen: number
  currency: string
}

function ThresholdCharts({ thresholds, present, chosen, currency }: ChartsProps) {
  const lines = useMemo(() => {
    const now = { name: 'now', x: present, token: '--ink-3' as const }
    return chosen === present ? [now] : [now, { name: 'chosen', x: chosen, token: '--ink' as const }]
  }, [present, chosen])
  const curves = useMemo(() => {
    const points = thresholds.map(({ score, alerts_per_day }) => [score, alerts_per_day] as const)
    const costs = thresholds.map(({ score, cost_per_day }) => [score, cost_per_day ?? 0] as const)
    return {
      alerts: [{ name: 'Alerts a day', token: '--curve-1' as const, points }],
      costs: [{ name: `Cost a day${currency && `, ${currency}`}`, token: '--curve-2' as const, points: costs }],
    }
  }, [thresholds, currency])
  const priced = thresholds.some(({ cost_per_day }) => cost_per_day != null)
  const at = thresholds[nearestIndex(thresholds, chosen)]
  return (
    <div className="threshold-charts">
      <CurveChart spec={alertsSpec} curves={curves.alerts} marks={lines} said={`${rate(at?.alerts_per_day ?? 0)} at ${figure(chosen)}`} />
      {priced ? (
        <CurveChart
          spec={costSpec}
          curves={curves.costs}
          marks={lines}
          said={`${amount(at?.cost_per_day ?? 0, currency)} ${currency} at ${figure(chosen)}`}
        />
      ) : (
        <p className="panel-note threshold-unpriced">Costs are not known: the detector's policy does not say what a review costs.</p>
      )}
    </div>
  )
}

/** The threshold of the address, which follows when the slider rests. */
function useAddressedScore(present: number): [number, (score: number) => void] {
  const { query } = usePlace()
  const asked = Number(query.get('threshold') ?? NaN)
  const [score, setScore] = useState(Number.isFinite(asked) ? asked : present)
  const [moved, setMoved] = useState(false)
  useEffect(() => {
    if (!moved) return
    const timer = setTimeout(() => {
      replacePlace(placeWith(new URLSearchParams(location.search), 'threshold', String(score)))
    }, ADDRESS_AFTER_MS)
    return () => clearTimeout(timer)
  }, [moved, score])
  const move = (to: number) => {
    setMoved(true)
    setScore(to)
  }
  return [score, move]
}

function placeWith(query: URLSearchParams, name: string, value: string) {
  const changed = new URLSearchParams(query)
  changed.set(name, value)
  return `/models?${changed.toString()}`
}

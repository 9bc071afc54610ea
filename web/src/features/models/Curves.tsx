import { useMemo } from 'react'
import type { ModelPerformance, Performance } from '@/api/types'
import { CurveChart, type CurveSpec } from '@/components/charts/CurveChart'
import { lookOf, type AxisSpec, type Curve, type CurvePoint } from '@/components/charts/curves'
import { count, percent } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { figure } from './words'

const shareAxis = (name: string): AxisSpec => ({ name, format: percent, mark: (value) => `${Math.round(value * 100)} %`, range: [0, 1] })
const whole = [
  [0, 0],
  [1, 1],
] as const

const rocSpec: CurveSpec = {
  name: 'roc',
  label: 'ROC curves',
  x: shareAxis('genuine that alert'),
  y: shareAxis('frauds that alert'),
  reference: whole,
}

const precisionRecallSpec: CurveSpec = {
  name: 'precision-recall',
  label: 'Precision-recall curves',
  x: shareAxis('recall'),
  y: shareAxis('precision'),
}

/** Most scores are near 0, so that only powers of ten show whether they are right. */
const CALIBRATION_FLOOR = 1e-4
const decades: Pick<AxisSpec, 'format' | 'mark' | 'range' | 'log'> = {
  format: percent,
  mark: (value) => `${Number((value * 100).toPrecision(1))} %`,
  range: [CALIBRATION_FLOOR, 1],
  log: true,
}

const calibrationSpec: CurveSpec = {
  name: 'calibration',
  label: 'Calibration: shares of fraud against mean scores in bins, on logarithmic scales',
  x: { name: 'mean score', ...decades },
  y: { name: 'share of fraud', ...decades },
  reference: [
    [CALIBRATION_FLOOR, CALIBRATION_FLOOR],
    [1, 1],
  ],
}

const cardSpec: CurveSpec = {
  name: 'card-precision',
  label: 'Card precision by the number of entities looked at a day',
  x: { name: 'entities a day', format: count, mark: count },
  y: shareAxis('with a fraud that day'),
}

/** How models rank and how far their scores can be believed, all of them in each chart. */
export function Curves({ performance }: { performance: Performance }) {
  const { models } = performance
  const drawn = useMemo(() => curvesOf(models), [models])
  const said = (of: (model: ModelPerformance) => number | null | undefined) =>
    models.map((model) => `${model.id} ${figure(of(model))}`).join(', ')
  return (
    <div className="models-curves">
      <Panel title="ROC" note="dotted: chance">
        <CurveChart spec={rocSpec} curves={drawn.roc} said={`AUC ${said(({ auc_roc }) => auc_roc)}`} />
      </Panel>
      <Panel title="Precision and recall">
        <CurveChart
          spec={precisionRecallSpec}
          curves={drawn.precisionRecall}
          said={`average precision ${said(({ average_precision }) => average_precision)}`}
        />
      </Panel>
      <Panel title="Calibration" note="log scales; dotted: perfect">
        <CurveChart
          spec={calibrationSpec}
          curves={drawn.calibration}
          said={`error ${said(({ calibration_error }) => calibration_error)}`}
        />
      </Panel>
      <Panel title="Card precision@k" note="beside its ceiling">
        <CardPrecision models={models} curves={drawn.card} />
      </Panel>
    </div>
  )
}

function CardPrecision({ models, curves }: { models: readonly ModelPerformance[]; curves: readonly Curve[] }) {
  if (curves.length === 0) return <p className="panel-note models-none">The detector has no key field: there are no cards to rank.</p>
  const said = models.flatMap(({ id, card_precision }) => {
    const last = card_precision.at(-1)
    return last ? [`${id} ${percent(last.precision)} of ${percent(last.ceiling)} at ${count(last.k)}`] : []
  })
  return <CurveChart spec={cardSpec} curves={curves} said={said.join(', ')} />
}

function curvesOf(models: readonly ModelPerformance[]) {
  const curve = (points: (model: ModelPerformance) => CurvePoint[], shape?: 'dots'): Curve[] =>
    models.map((model, i) => ({ name: model.id, ...lookOf(i), ...(shape ? { shape } : {}), points: along(points(model)) }))
  const card = curve(({ card_precision }) => card_precision.map(({ k, precision }) => [k, precision]), 'dots')
  const ceiling = along(models[0]?.card_precision.map(({ k, ceiling }) => [k, ceiling]) ?? [])
  return {
    roc: curve(({ roc }) => roc.map((at) => [at.false_positive_rate, at.true_positive_rate])),
    precisionRecall: curve(({ precision_recall }) => precision_recall.map((at) => [at.recall, at.precision])),
    calibration: curve(
      ({ calibration }) => calibration.map((bin) => [Math.max(CALIBRATION_FLOOR, bin.mean_score), bin.fraud_share]),
      'dots',
    ),
    card: ceiling.length > 0 ? [...card, { name: 'ceiling', token: '--ink-3' as const, dash: [2, 3], points: ceiling }] : [],
  }
}

/** The server may begin at either end. What stands at the same place keeps its order. */
function along(points: CurvePoint[]) {
  const [first, last] = [points[0], points.at(-1)]
  if (first && last && first[0] > last[0]) points.reverse()
  return points.sort(([a], [b]) => a - b)
}

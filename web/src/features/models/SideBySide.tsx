import type { ReactNode } from 'react'
import type { Asked } from '@/api/useAsked'
import type { ModelInfo, ModelList, ModelPerformance, Performance, ThresholdPoint } from '@/api/types'
import { count, countShort, NONE, rate } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { nearestIndex } from './thresholds'
import { figure, metricName, partOf, ROLE_WORDS, smallFigure, trainedOn } from './words'

/** A model with all that is known of it. */
interface Known {
  info: ModelInfo
  /** On what became known. */
  measured: ModelPerformance | undefined
  /** At the present threshold. */
  present: ThresholdPoint | undefined
}

interface Line {
  name: string
  value: (known: Known) => number | string | null | undefined
  show: (value: number) => string
  /** Which end is better; nothing where neither is. */
  better?: 'high' | 'low'
}

const about: readonly Line[] = [
  { name: 'Algorithm', value: ({ info }) => info.algorithm, show: String },
  { name: 'Engine', value: ({ info }) => `${info.engine} ${info.engine_version}`.trim(), show: String },
  { name: 'Trees', value: ({ info }) => info.trees, show: count },
  { name: 'Trained on', value: ({ info }) => trainedOn(info), show: String },
  { name: 'Rows', value: ({ info }) => info.rows, show: count },
  { name: 'Of them fraud', value: ({ info }) => info.frauds, show: count },
]

const measured: readonly Line[] = [
  { name: 'AUC', value: ({ measured }) => measured?.auc_roc, show: figure, better: 'high' },
  { name: 'Average precision', value: ({ measured }) => measured?.average_precision, show: figure, better: 'high' },
  { name: 'Brier score', value: ({ measured }) => measured?.brier, show: smallFigure, better: 'low' },
  { name: 'Calibration error', value: ({ measured }) => measured?.calibration_error, show: smallFigure, better: 'low' },
]

const atPresent: readonly Line[] = [
  { name: 'Alerts a day', value: ({ present }) => present?.alerts_per_day, show: rate },
  { name: 'Precision', value: ({ present }) => present?.precision, show: partOf, better: 'high' },
  { name: 'Recall', value: ({ present }) => present?.recall, show: partOf, better: 'high' },
  { name: 'F1', value: ({ present }) => present?.f1, show: figure, better: 'high' },
  { name: 'Accuracy', value: ({ present }) => present?.accuracy, show: partOf, better: 'high' },
]

interface Props {
  models: Asked<ModelList>
  performance: Asked<Performance>
}

/** Champion and challengers in columns: what they are, how they fare here, and what their training report promised. */
export function SideBySide({ models, performance }: Props) {
  if (models.phase === 'loading') return <div className="panel placeholder models-tall models-side" aria-busy="true" />
  if (models.phase === 'failed') return null
  const known = inUse(models.value, performance.phase === 'ready' ? performance.value : null)
  if (known.length === 0) return null
  const threshold = performance.phase === 'ready' ? figure(performance.value.review_score_min) : '…'
  return (
    <Panel title="Side by side" note="the better figure is marked" className="models-side">
      <div className="sheet-scroll" tabIndex={0} role="region" aria-label="Models side by side, scrollable">
        <table className="sheet beside">
          <caption className="unseen">Models that are in use, side by side</caption>
          <thead>
            <tr>
              <td />
              {known.map(({ info }) => (
                <th key={info.id} scope="col" data-kind="number">
                  <span className="role" data-role={info.role}>
                    {ROLE_WORDS[info.role]}
                  </span>
                  <code>{info.id}</code>
                </th>
              ))}
            </tr>
          </thead>
          <Group name="What it is" lines={about} known={known} />
          <Group name="On what became known here" lines={measured} known={known} />
          <Group name={`There, at the threshold in force, ${threshold}`} lines={atPresent} known={known} />
          <Group name="In its training report, on later data" lines={reported(known)} known={known} />
        </table>
      </div>
    </Panel>
  )
}

function inUse({ models }: ModelList, performance: Performance | null): Known[] {
  return models
    .filter(({ role }) => role !== 'registered')
    .map((info) => {
      const measured = performance?.models.find(({ id }) => id === info.id)
      const points = measured?.thresholds ?? []
      return { info, measured, present: points[nearestIndex(points, performance?.review_score_min ?? 0)] }
    })
}

/** Whatever the reports of these models say, each figure once. */
function reported(known: readonly Known[]): Line[] {
  const keys = new Set(known.flatMap(({ info }) => Object.keys(info.metrics)))
  return [...keys].sort().map((key) => ({
    name: metricName(key),
    value: ({ info }) => info.metrics[key],
    show: (value) => (Number.isInteger(value) ? count(value) : Math.abs(value) >= 100 ? countShort(value) : smallFigure(value)),
  }))
}

function Group({ name, lines, known }: { name: string; lines: readonly Line[]; known: readonly Known[] }) {
  return (
    <tbody>
      <tr className="beside-group">
        <th scope="colgroup" colSpan={known.length + 1}>
          {name}
        </th>
      </tr>
      {lines.length === 0 && (
        <tr>
          <td colSpan={known.length + 1}>{NONE}</td>
        </tr>
      )}
      {lines.map((line) => (
        <tr key={line.name}>
          <th scope="row">{line.name}</th>
          {known.map((each) => (
            <td key={each.info.id} data-kind="number">
              <Value line={line} known={each} all={known} />
            </td>
          ))}
        </tr>
      ))}
    </tbody>
  )
}

function Value({ line, known, all }: { line: Line; known: Known; all: readonly Known[] }): ReactNode {
  const value = line.value(known)
  if (value == null || value === '') return NONE
  if (typeof value === 'string') return value
  if (!isBest(line, value, all)) return line.show(value)
  return (
    <b className="best">
      <span aria-hidden="true">▸ </span>
      {line.show(value)}
      <span className="unseen"> (best)</span>
    </b>
  )
}

/** Best of at least two; what reads the same is not better. */
function isBest({ value, better, show }: Line, own: number, all: readonly Known[]) {
  if (!better) return false
  const others = all.map(value).filter((other) => typeof other === 'number')
  if (others.length < 2) return false
  const best = better === 'high' ? Math.max(...others) : Math.min(...others)
  return own === best && others.filter((other) => show(other) === show(best)).length === 1
}

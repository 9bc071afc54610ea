/** Retraining in words. */
import type { Monitors, RetrainingRun } from '@/api/types'
import { count, NONE, percent } from '@/components/ui/numbers'

/** As a run goes through them, with what each does. */
export const STEPS = [
  { step: 'collect', does: 'collects what was decided and what became of it' },
  { step: 'train', does: 'grows a challenger on the older weeks' },
  { step: 'evaluate', does: 'measures it on the newest weeks' },
  { step: 'register', does: 'keeps it and lets it score in the shadow' },
  { step: 'judge', does: 'compares it with the champion' },
  { step: 'promote', does: 'makes it the champion' },
] as const

const STATE_WORDS: Record<string, string> = {
  running: 'under way',
  shadow: 'scores in the shadow',
  approval: 'waits for a person',
  promoted: 'promoted',
  rejected: 'rejected',
  failed: 'failed',
  cancelled: 'cancelled',
}

export const stateWords = (state: string) => STATE_WORDS[state] ?? state

/** Whether it can still be stopped. */
export const isUnderWay = ({ state }: Pick<RetrainingRun, 'state'>) => ['running', 'shadow', 'approval'].includes(state)

export type StepState = 'done' | 'now' | 'waits' | 'stopped' | 'open'

/** How far each step is, for the run as it stands. */
export function stepsOf(run: Pick<RetrainingRun, 'state' | 'step'>): StepState[] {
  const at = STEPS.findIndex(({ step }) => step === run.step)
  return STEPS.map((_, i) => {
    if (run.state === 'promoted' || i < at) return 'done'
    if (i > at) return 'open'
    return here(run)
  })
}

function here({ state, step }: Pick<RetrainingRun, 'state' | 'step'>): StepState {
  if (state === 'running') return 'now'
  if (state === 'shadow' || state === 'approval') return 'waits'
  // What was rejected was judged: that step is done, and no further one will be.
  return state === 'rejected' && step === 'judge' ? 'done' : 'stopped'
}

export const STEP_STATE_WORDS: Record<StepState, string> = {
  done: 'done',
  now: 'under way',
  waits: 'waits',
  stopped: 'stopped here',
  open: 'not yet',
}

interface Monitor {
  name: string
  value: number | null
  text: string
  threshold: string
  raised: boolean
}

/** What is watched, against its threshold. */
export function monitorsOf({ psi_score, psi_max, missing_max, psi_threshold, missing_threshold }: Monitors): Monitor[] {
  const one = (name: string, value: number | null | undefined, threshold: number, text: (value: number) => string): Monitor => ({
    name,
    value: value ?? null,
    text: value == null ? NONE : text(value),
    threshold: text(threshold),
    raised: value != null && value > threshold,
  })
  return [
    one('Shift of the score', psi_score, psi_threshold, psi),
    one('Greatest shift of a feature', psi_max, psi_threshold, psi),
    one('Greatest growth of missing values', missing_max, missing_threshold, percent),
  ]
}

export const psi = (value: number) => value.toFixed(3)

/** What a monitor's figure is, by its kind. */
export const alarmFigure = (kind: string, value: number) => (kind === 'missing' ? percent(value) : psi(value))

const FIGURE_NAMES: Record<string, string> = {
  auc_roc: 'AUC',
  average_precision: 'Average precision',
  brier: 'Brier score',
  recall_at_fpr_0_01: 'Recall at 1 % false alarms',
  decisions: 'Decisions',
  rows: 'Rows',
  rows_also: 'Rows from a file',
  frauds: 'Of them fraud',
  train_rows: 'Rows learnt from',
  train_frauds: 'Frauds learnt from',
  declined_unlabelled: 'Declined, left out',
  growing_s: 'Growing took',
  trees: 'Trees',
}

/** Figures of a run with their names, those that are known by one first. */
export function figuresOf(figures: RetrainingRun['figures']) {
  const known = Object.keys(FIGURE_NAMES).filter((key) => key in figures)
  const others = Object.keys(figures).filter((key) => !(key in FIGURE_NAMES)).sort()
  return [...known, ...others].map((key) => ({ name: FIGURE_NAMES[key] ?? key.replaceAll('_', ' '), text: figureText(key, figures[key] ?? 0) }))
}

function figureText(key: string, value: number) {
  if (key.endsWith('_s')) return `${value.toFixed(1)} s`
  return Number.isInteger(value) ? count(value) : value.toFixed(4)
}

/** Names of criteria as questions. */
export const CRITERIA: Record<string, string> = {
  enough: 'Enough frauds',
  better: 'Better',
  cheaper: 'Cheaper',
  calibrated: 'Calibrated',
  fast: 'Fast',
}

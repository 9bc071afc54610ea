import type { RetrainingCriterion, RetrainingRun, RetrainingVerdict } from '@/api/types'
import { count } from '@/components/ui/numbers'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { dateTime, span } from '@/components/ui/times'
import type { Wish } from './RunDialog'
import { CRITERIA, figuresOf, isUnderWay, stateWords, STEP_STATE_WORDS, STEPS, stepsOf } from './words'

interface Props {
  run: RetrainingRun
  /** Whether all of it is in sight from the start. */
  open: boolean
  /** Null for who may only look. */
  onWish: ((wish: Wish) => void) | null
}

/** A run: how far it is, what it found, and what can be done with it. */
export function RunCard({ run, open, onWish }: Props) {
  const figures = figuresOf(run.figures)
  return (
    <li className="run">
      <header className="run-head">
        <h3>{run.id}</h3>
        <span className="run-state" data-state={run.state}>
          {stateWords(run.state)}
        </span>
        <span className="run-when">{whenWords(run)}</span>
        {onWish && <Steps run={run} onWish={onWish} />}
      </header>
      <p className="run-trigger">
        started by {run.trigger}
        {run.model && (
          <>
            ; challenger <code>{run.model}</code>
          </>
        )}
      </p>
      <Progress run={run} />
      {run.detail && <p className="run-detail">{run.detail}</p>}
      {(run.verdict ?? figures.length > 0) && (
        <details open={open}>
          <summary>
            What it found<span className="unseen"> in {run.id}</span>
          </summary>
          {run.verdict && <Verdict verdict={run.verdict} run={run.id} />}
          <dl className="run-figures">
            {figures.map(({ name, text }) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{text}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
    </li>
  )
}

function whenWords({ started_at, ended_at }: RetrainingRun) {
  const started = `${dateTime(started_at)} UTC`
  return ended_at ? `${started}, took ${span((Date.parse(ended_at) - Date.parse(started_at)) / 1_000)}` : started
}

function Steps({ run, onWish }: { run: RetrainingRun; onWish: (wish: Wish) => void }) {
  return (
    <span className="run-steps">
      {isUnderWay(run) && (
        <button type="button" className="button small" onClick={() => onWish({ to: 'cancel', run })}>
          Stop<span className="unseen"> {run.id}</span>
        </button>
      )}
      {run.state === 'approval' && (
        <button type="button" className="button primary small" onClick={() => onWish({ to: 'approve', run })}>
          Approve<span className="unseen"> {run.id}</span>
        </button>
      )}
    </span>
  )
}

function Progress({ run }: { run: RetrainingRun }) {
  const states = stepsOf(run)
  return (
    <ol className="run-progress" aria-label={`Steps of ${run.id}`}>
      {STEPS.map(({ step, does }, i) => {
        const state = states[i] ?? 'open'
        return (
          <li key={step} data-state={state} title={`It ${does}.`}>
            {step}
            <span className="unseen">: {STEP_STATE_WORDS[state]}</span>
          </li>
        )
      })}
    </ol>
  )
}

function Verdict({ verdict, run }: { verdict: RetrainingVerdict; run: string }) {
  return (
    <>
      <p className="run-verdict">
        {verdict.promote ? 'Every criterion is met' : 'Not every criterion is met'}, on {count(verdict.rows)} transactions from{' '}
        {dateTime(verdict.from)} to {dateTime(verdict.to)} UTC, {count(verdict.frauds)} of them fraud
        {verdict.champion ? `; the champion was ${verdict.champion}` : '; there was no champion'}.
      </p>
      <SortTable caption={`Criteria of ${run}`} columns={columns} rows={verdict.criteria} keyOf={({ name }) => name} />
    </>
  )
}

const columns: readonly Column<RetrainingCriterion>[] = [
  {
    name: 'Criterion',
    cell: ({ name, met }) => (
      <span className="criterion" data-met={met}>
        <span aria-hidden="true">{met ? '✓' : '✗'}</span> {CRITERIA[name] ?? name}
        <span className="unseen">: {met ? 'met' : 'not met'}</span>
      </span>
    ),
    heads: true,
  },
  { name: 'What came out', cell: ({ words }) => words, kind: 'wide' },
]

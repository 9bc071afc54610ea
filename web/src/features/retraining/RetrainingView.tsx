import { useState, type ReactNode } from 'react'
import { useRefusal } from '@/api/access'
import { getRetraining } from '@/api/retraining'
import type { DriftAlarm, Monitors, Retraining } from '@/api/types'
import { useAsked } from '@/api/useAsked'
import { Link } from '@/components/ui/Link'
import { Notice } from '@/components/ui/Notice'
import { count } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { dateTime, span } from '@/components/ui/times'
import { useNow } from '@/components/ui/useNow'
import { Unanswered } from '@/components/ui/Unanswered'
import './retraining.css'
import { RunCard } from './RunCard'
import { RunDialog, type Wish } from './RunDialog'
import { alarmFigure, isUnderWay, monitorsOf } from './words'

const EVERY_MS = 2_000

/** When models are trained again, what watches for drift, and what came of each run. */
export function RetrainingView() {
  const [retraining, again] = useAsked('retraining', getRetraining, EVERY_MS)
  const [wish, setWish] = useState<Wish | null>(null)
  const [done, setDone] = useState('')
  const refusal = useRefusal('engineer')
  const finish = (words: string) => {
    setDone(words)
    setWish(null)
    again()
  }
  return (
    <div className="retraining">
      <header className="page-head">
        <h1>Retraining</h1>
        <p>{retraining.phase === 'ready' && summary(retraining.value)}</p>
      </header>
      {refusal && <p>You can look; starting and stopping {refusal}.</p>}
      <p className="retraining-done" role="status">
        {done}
      </p>
      {retraining.phase === 'loading' && <div className="panel placeholder tall" aria-busy="true" />}
      {retraining.phase === 'failed' && <Unanswered title="Retraining did not say how it is" error={retraining.error} again={again} />}
      {retraining.phase === 'ready' && <Parts value={retraining.value} onWish={refusal === undefined ? setWish : null} />}
      {wish && <RunDialog wish={wish} onClose={() => setWish(null)} onDone={finish} />}
    </div>
  )
}

function summary({ runs, next_at }: Retraining) {
  const [run] = runs.filter(isUnderWay)
  if (run?.state === 'approval') return `${run.id} waits for a person.`
  if (run) return `${run.id} is under way.`
  return next_at ? `The next run starts ${dateTime(next_at)} UTC.` : 'No run is scheduled.'
}

function Parts({ value, onWish }: { value: Retraining; onWish: ((wish: Wish) => void) | null }) {
  const busy = value.runs.some(isUnderWay)
  const side = onWish && (
    <button type="button" className="button primary small" disabled={busy || !value.can_run} title={whyNot(value, busy)} onClick={() => onWish({ to: 'start' })}>
      Start a run
    </button>
  )
  return (
    <>
      {!value.can_run && <CannotRun detail={value.detail ?? ''} />}
      <div className="retraining-grid">
        <SchedulePanel value={value} />
        <MonitorsPanel monitors={value.monitors} />
        <Panel title="Runs" note="the newest first" side={side} className="retraining-runs">
          {value.runs.length === 0 && (
            <Notice tone="plain" title="No runs yet">
              <p>A run collects what became known, grows a challenger, lets it score in the shadow and compares it with the champion.</p>
            </Notice>
          )}
          <ul className="runs">
            {value.runs.map((run, i) => (
              <RunCard key={run.id} run={run} open={i === 0} onWish={onWish} />
            ))}
          </ul>
        </Panel>
      </div>
    </>
  )
}

function whyNot({ can_run, detail }: Retraining, busy: boolean) {
  if (!can_run) return detail ?? undefined
  return busy ? 'A run is under way.' : undefined
}

function CannotRun({ detail }: { detail: string }) {
  return (
    <div className="retraining-cannot" role="status">
      <strong>Nothing is trained again here.</strong> {detail}. How it is set up: <code>docs/retraining.md</code>.
    </div>
  )
}

function SchedulePanel({ value: { schedule, time_zone, next_at, on_drift, promote, detail, can_run } }: { value: Retraining }) {
  const now = useNow(next_at != null)
  const lines: { name: string; value: ReactNode }[] = [
    { name: 'Schedule', value: schedule ? <code title={`cron, in ${time_zone}`}>{schedule}</code> : 'none' },
    { name: 'Next run', value: next_at ? `${dateTime(next_at)} UTC` : 'not scheduled' },
    { name: 'Until then', value: next_at ? span((Date.parse(next_at) - now) / 1_000) : '–' },
    { name: 'Drift starts a run', value: on_drift ? 'yes, once a day at most' : 'no' },
    { name: 'Who promotes', value: promote === 'person' ? 'a person, when every criterion is met' : 'nobody has to: the criteria decide' },
  ]
  return (
    <Panel title="When" note={schedule ? `hours are ${time_zone}` : undefined} className="retraining-when">
      <dl className="retraining-facts">
        {lines.map(({ name, value }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {can_run && detail && <p className="retraining-detail">{detail}</p>}
    </Panel>
  )
}

function MonitorsPanel({ monitors }: { monitors: Monitors }) {
  const { checked_at, decisions, raised, crossings } = monitors
  const note = checked_at ? `${count(decisions)} decisions, looked at ${dateTime(checked_at)} UTC` : 'not looked yet'
  return (
    <Panel title="Monitors" note={note} className="retraining-monitors">
      <div className="monitors">
        {monitorsOf(monitors).map(({ name, text, threshold, raised: isRaised }) => (
          <dl key={name} className="monitor" data-raised={isRaised}>
            <dt>{name}</dt>
            <dd>
              {text} <span className="monitor-bound">{isRaised ? `above ${threshold}` : `of ${threshold}`}</span>
            </dd>
          </dl>
        ))}
      </div>
      {raised.length === 0 && (
        <p className="retraining-detail">
          {checked_at && decisions === 0 ? 'Nothing to compare yet: a champion has to decide for a whole window first.' : 'Nothing is beyond its threshold.'}
          {crossings > 0 && ` Thresholds were crossed ${count(crossings)} times since the start.`}
        </p>
      )}
      {raised.length > 0 && (
        <>
          <p className="retraining-detail">
            {raised.length === 1 ? 'One thing is' : `${count(raised.length)} things are`} beyond the threshold; <Link href="/models">drift of all features</Link>.
          </p>
          <div className="monitors-raised">
            <SortTable caption="Beyond their thresholds" columns={columns} rows={raised} keyOf={({ name, kind }) => `${name} ${kind}`} />
          </div>
        </>
      )}
    </Panel>
  )
}

const columns: readonly Column<DriftAlarm>[] = [
  { name: 'What', cell: ({ name }) => name, by: ({ name }) => name, kind: 'code', heads: true },
  { name: 'By', cell: ({ kind }) => (kind === 'psi' ? 'shift (PSI)' : 'missing values'), by: ({ kind }) => kind },
  { name: 'Now', cell: ({ kind, value }) => alarmFigure(kind, value), by: ({ value }) => value, kind: 'number' },
  { name: 'Threshold', cell: ({ kind, threshold }) => alarmFigure(kind, threshold), by: ({ threshold }) => threshold, kind: 'number' },
  { name: 'Since, UTC', cell: ({ since }) => dateTime(since), by: ({ since }) => since },
]

import { useState } from 'react'
import { asRequestError } from '@/api/client'
import { useLive } from '@/api/store'
import { cancelGeneration } from '@/api/synthetic'
import type { Asked } from '@/api/useAsked'
import type { Generation, GenerationList } from '@/api/types'
import { Notice } from '@/components/ui/Notice'
import { share } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { dateTime } from '@/components/ui/times'
import { Unanswered } from '@/components/ui/Unanswered'
import { useNow } from '@/components/ui/useNow'
import { outcomeWords, progressWords, sourceWords, STATE_WORDS } from './words'

interface Props {
  asked: Asked<GenerationList>
  again: () => void
}

/** Jobs that send transactions down the stream: how far they are, and how they ended. */
export function Jobs({ asked, again }: Props) {
  const live = useLive((state) => state.generations)
  const jobs = newest(live, asked.phase === 'ready' ? asked.value.items : [])
  return (
    <Panel title="Jobs" note="newest first" className="jobs">
      {asked.phase === 'loading' && jobs.length === 0 && <div className="jobs-place" aria-busy="true" />}
      {asked.phase === 'failed' && <Unanswered title="The jobs did not come" error={asked.error} again={again} />}
      {asked.phase === 'ready' && jobs.length === 0 && (
        <Notice tone="plain" title="No job yet">
          <p>Send some transactions to the stream: their progress shows here, and they are decided like real ones.</p>
        </Notice>
      )}
      <ol className="jobs-list">
        {jobs.map((job) => (
          <Job key={job.id} job={job} onCancelled={again} />
        ))}
      </ol>
    </Panel>
  )
}

/** The feed tells of a job more often than the list is asked for; of two tellings the one that is further counts. */
function newest(live: readonly Generation[], listed: readonly Generation[]) {
  const jobs = new Map(listed.map((job) => [job.id, job]))
  for (const job of live) {
    const known = jobs.get(job.id)
    if (!known || (known.state === 'running' && (job.state !== 'running' || job.done >= known.done))) jobs.set(job.id, job)
  }
  return [...jobs.values()].sort((a, b) => Date.parse(b.started_at) - Date.parse(a.started_at))
}

function Job({ job, onCancelled }: { job: Generation; onCancelled: () => void }) {
  const running = job.state === 'running'
  const now = useNow(running)
  const words = progressWords(job, now)
  return (
    <li className="job" data-state={job.state}>
      <p className="job-head">
        <strong>{STATE_WORDS[job.state]}</strong> <span>{sourceWords(job.source)}</span> <code>{job.synthetic}</code>
        {running && <Cancel id={job.id} onCancelled={onCancelled} />}
      </p>
      <progress aria-label={`Job ${job.id}, ${share(job.done, job.rows)} sent`} max={Math.max(1, job.rows)} value={job.done} />
      <p>{words}</p>
      <p className="panel-note">
        {outcomeWords(job)}. Begun {dateTime(job.started_at)} UTC, seed {job.seed}.{' '}
        <a href={job.links.decisions}>Its decisions as JSON</a>
      </p>
      {job.detail && <p className="field-mistake">{job.detail}</p>}
    </li>
  )
}

function Cancel({ id, onCancelled }: { id: string; onCancelled: () => void }) {
  const [busy, setBusy] = useState(false)
  const [refusal, setRefusal] = useState('')
  const cancel = () => {
    setBusy(true)
    cancelGeneration(id)
      .then(onCancelled)
      .catch((error: unknown) => setRefusal(asRequestError(error).message))
      .finally(() => setBusy(false))
  }
  return (
    <>
      <button type="button" className="button small" disabled={busy} aria-label={`Cancel job ${id}`} onClick={cancel}>
        {busy ? 'Cancelling …' : 'Cancel'}
      </button>
      {refusal && (
        <span className="field-mistake" role="alert">
          {refusal}
        </span>
      )}
    </>
  )
}

import { useEffect, useRef, useState, type SyntheticEvent } from 'react'
import { asRequestError, type RequestError } from '@/api/client'
import { compareWithReal } from '@/api/synthetic'
import type { SyntheticReport } from '@/api/types'
import { Field } from '@/components/ui/Field'
import { Notice } from '@/components/ui/Notice'
import { Panel } from '@/components/ui/Panel'
import { useNow } from '@/components/ui/useNow'
import { ReportView } from './ReportView'

type Comparing =
  | { phase: 'resting' }
  | { phase: 'working'; since: number }
  | { phase: 'done'; report: SyntheticReport }
  | { phase: 'refused'; error: RequestError }

/** Made transactions beside real ones. `marks` are those that are known here. */
export function Comparison({ marks }: { marks: readonly string[] }) {
  const [mark, setMark] = useState('')
  const { comparing, compare } = useComparing()
  const working = comparing.phase === 'working'
  const submit = (event: SyntheticEvent) => {
    event.preventDefault()
    if (!working) compare(mark.trim() || null)
  }
  return (
    <Panel title="Real against synthetic" note="the newest of each that are stored" className="comparison">
      <form onSubmit={submit} className="comparison-form">
        <Field
          name="Mark"
          hint="What made them, as their decisions say. Empty: all that are synthetic."
          control={(props) => (
            <input {...props} list="marks" autoComplete="off" value={mark} onChange={(event) => setMark(event.target.value)} />
          )}
        />
        <datalist id="marks">
          {marks.map((known) => (
            <option key={known} value={known} />
          ))}
        </datalist>
        <button type="submit" className="button primary" disabled={working}>
          {working ? 'Comparing …' : 'Compare'}
        </button>
      </form>
      <div aria-busy={working}>
        <Answer comparing={comparing} again={() => compare(mark.trim() || null)} />
      </div>
    </Panel>
  )
}

function useComparing() {
  const [comparing, setComparing] = useState<Comparing>({ phase: 'resting' })
  const latest = useRef<AbortController | null>(null)
  useEffect(() => () => latest.current?.abort(), [])
  const compare = (mark: string | null) => {
    latest.current?.abort()
    const request = new AbortController()
    latest.current = request
    const settle = (next: Comparing) => {
      if (!request.signal.aborted) setComparing(next)
    }
    setComparing({ phase: 'working', since: Date.now() })
    compareWithReal(mark, request.signal)
      .then((report) => settle({ phase: 'done', report }))
      .catch((error: unknown) => settle({ phase: 'refused', error: asRequestError(error) }))
  }
  return { comparing, compare }
}

function Answer({ comparing, again }: { comparing: Comparing; again: () => void }) {
  switch (comparing.phase) {
    case 'resting':
      return <p className="comparison-said">Says what the made ones are fit for, with their distributions beside the real ones.</p>
    case 'working':
      return <Working since={comparing.since} />
    case 'refused':
      return <Refused error={comparing.error} again={again} />
    case 'done':
      return <ReportView report={comparing.report} />
  }
}

function Working({ since }: { since: number }) {
  const seconds = Math.max(0, Math.floor((useNow(true) - since) / 1_000))
  return (
    <p className="comparison-said">
      <span role="status">The server compares them; that takes up to 15 seconds.</span> <span aria-hidden="true">{seconds} s so far.</span>
    </p>
  )
}

/** Too few rows is no failure: it says what there is too little of. */
function Refused({ error: { problem }, again }: { error: RequestError; again: () => void }) {
  const few = problem.status === 409
  const retry = (
    <button type="button" className="button" onClick={again}>
      Try again
    </button>
  )
  return (
    <Notice tone={few ? 'plain' : 'error'} title={few ? 'Nothing to compare yet' : 'They were not compared'} actions={retry}>
      <p>
        {problem.title}. {problem.detail}
      </p>
    </Notice>
  )
}

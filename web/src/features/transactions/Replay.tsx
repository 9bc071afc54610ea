import { useState } from 'react'
import { asRequestError, type RequestError } from '@/api/client'
import { replayDecision } from '@/api/inspection'
import type { ReplayVerdict } from '@/api/types'
import { count } from '@/components/ui/numbers'

type Replaying =
  | { phase: 'idle' }
  | { phase: 'replaying' }
  | { phase: 'told'; verdict: ReplayVerdict }
  | { phase: 'refused'; error: RequestError }

/** Recomputes the decision from what was known then, and says whether the same comes out. */
export function Replay({ id }: { id: string }) {
  const [replaying, setReplaying] = useState<Replaying>({ phase: 'idle' })
  const replay = () => {
    setReplaying({ phase: 'replaying' })
    replayDecision(id)
      .then((verdict) => setReplaying({ phase: 'told', verdict }))
      .catch((error: unknown) => setReplaying({ phase: 'refused', error: asRequestError(error) }))
  }
  return (
    <div className="replay">
      <button type="button" className="button" disabled={replaying.phase === 'replaying'} onClick={replay}>
        {replaying.phase === 'replaying' ? 'Replaying …' : 'Replay'}
      </button>
      <div className="replay-said" role="status">
        <Said replaying={replaying} />
      </div>
    </div>
  )
}

function Said({ replaying }: { replaying: Replaying }) {
  if (replaying.phase === 'idle') return <p>Computes it again from the log, and compares to the last bit.</p>
  if (replaying.phase === 'replaying') return <p>Reading the log up to it …</p>
  if (replaying.phase === 'told') return <Verdict verdict={replaying.verdict} />
  const { problem } = replaying.error
  return (
    <p className="replay-bad">
      Not replayed. {problem.title}: {problem.detail || 'the server says no more'}.
    </p>
  )
}

function Verdict({ verdict: { identical, differences, entries, seconds } }: { verdict: ReplayVerdict }) {
  const work = `${count(entries)} ${entries === 1 ? 'entry' : 'entries'} of the log replayed in ${secondsWords(seconds)}.`
  if (identical) {
    return (
      <p>
        <b className="replay-good">✓ Identical to the last bit.</b> {work}
      </p>
    )
  }
  return (
    <>
      <p>
        <b className="replay-bad">✗ It comes out otherwise.</b> {work}
      </p>
      <ul>
        {differences.map((difference) => (
          <li key={difference}>{difference}</li>
        ))}
      </ul>
    </>
  )
}

function secondsWords(seconds: number) {
  return seconds < 0.01 ? 'less than 0.01 s' : `${seconds.toFixed(2)} s`
}

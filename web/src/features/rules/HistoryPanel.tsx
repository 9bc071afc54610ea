import { useState } from 'react'
import { restore, type Signed } from '@/api/rules'
import type { RulebookHistory, RulebookNote } from '@/api/types'
import type { Asked } from '@/api/useAsked'
import { Panel } from '@/components/ui/Panel'
import { dateTime } from '@/components/ui/times'
import { Unanswered } from '@/components/ui/Unanswered'
import { ChangeDialog, type Changing } from './ChangeDialog'

const SHOWN = 12

interface Props {
  history: Asked<RulebookHistory>
  /** The number of the one in force. */
  now: number
  again: () => void
  /** Null for who may only look. */
  onRestore: ((number: number) => void) | null
}

/** Every rulebook that was published, and the way back to it. */
export function HistoryPanel({ history, now, again, onRestore }: Props) {
  const [all, setAll] = useState(false)
  const notes = history.phase === 'ready' ? history.value.rulebooks : []
  const shown = all ? notes : notes.slice(0, SHOWN)
  return (
    <Panel title="History" note="each change is a rulebook of its own" className="rules-history">
      {history.phase === 'failed' && <Unanswered title="The history did not come" error={history.error} again={again} />}
      {history.phase === 'loading' && <div className="rules-history-place" aria-busy="true" />}
      {history.phase === 'ready' && (
        <ol className="rulebooks">
          {shown.map((note) => (
            <Step key={note.number} number={note.number} note={note} now={now} onRestore={onRestore} />
          ))}
          {shown.length === notes.length && <Step number={0} note={null} now={now} onRestore={onRestore} />}
        </ol>
      )}
      {shown.length < notes.length && (
        <p className="rules-nothing">
          <button type="button" className="button small" onClick={() => setAll(true)}>
            Show all {notes.length}
          </button>
        </p>
      )}
    </Panel>
  )
}

interface StepProps {
  number: number
  /** Null for the detector file's own. */
  note: RulebookNote | null
  now: number
  onRestore: Props['onRestore']
}

function Step({ number, note, now, onRestore }: StepProps) {
  return (
    <li>
      <span className="rulebook-number">#{number}</span>
      <span className="rulebook-what">
        {note ? note.change : 'what the detector file says'}
        {note && <q>{note.reason}</q>}
      </span>
      <span className="rulebook-by">{note && `${note.by}, ${dateTime(note.at)} UTC`}</span>
      <span className="rulebook-step">
        {number === now && <span className="stage" data-stage="live">in force</span>}
        {number !== now && onRestore && (
          <button type="button" className="button small" onClick={() => onRestore(number)}>
            Publish again<span className="unseen"> rulebook {number}</span>
          </button>
        )}
      </span>
    </li>
  )
}

export function RestoreDialog({ number, ...changing }: Changing & { number: number }) {
  const post = (signed: Signed) => restore(number, signed)
  return (
    <ChangeDialog {...changing} title={`Publish rulebook ${number} again?`} action="Publish again" fits post={post}>
      {() => (
        <p>
          Rules, lists and policy become what {number === 0 ? 'the detector file says' : `rulebook ${number} said`}, under a new number.
          What was changed since, also what was put on lists, holds no longer; it can be published again in the same way.
        </p>
      )}
    </ChangeDialog>
  )
}

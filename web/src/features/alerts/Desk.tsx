import { useMemo, useState } from 'react'
import type { Alert } from '@/api/types'
import { Field } from '@/components/ui/Field'
import { Panel } from '@/components/ui/Panel'
import type { Wanted } from './AlertView'
import { useKeys } from './useKeys'

interface Props {
  alert: Alert
  analyst: string
  busy: boolean
  /** Whether it was done. */
  act: (change: Wanted) => Promise<boolean>
}

/** What can be done with the alert. The note is kept until something was done with it. */
export function Desk({ alert, analyst, busy, act }: Props) {
  const [note, setNote] = useState('')
  const noted = note.trim() ? { note: note.trim() } : {}
  const perform = async (change: Wanted) => {
    if (await act({ ...change, ...noted })) setNote('')
  }
  const closed = alert.state === 'closed'
  const keys = useMemo(
    () => ({
      a: () => void act({ action: 'assign', assignee: analyst }),
      f: () => void act({ action: 'close', disposition: 'fraud', ...(note.trim() ? { note: note.trim() } : {}) }),
      g: () => void act({ action: 'close', disposition: 'genuine', ...(note.trim() ? { note: note.trim() } : {}) }),
    }),
    [act, analyst, note],
  )
  useKeys(closed ? NO_KEYS : keys)
  return (
    <Panel title="Work" note={closed ? undefined : 'keys: a, f, g'} className="desk">
      <Field
        name="Note"
        hint="kept in the history, with who and when"
        control={(props) => <textarea {...props} rows={3} maxLength={4_000} value={note} onChange={(event) => setNote(event.target.value)} />}
      />
      <div className="desk-actions">
        {closed ? (
          <Reopen alert={alert} analyst={analyst} busy={busy} perform={perform} />
        ) : (
          <Open alert={alert} analyst={analyst} busy={busy} perform={perform} />
        )}
        <button type="button" className="button" disabled={busy || note.trim() === ''} onClick={() => void perform({ action: 'note' })}>
          Note only
        </button>
      </div>
    </Panel>
  )
}

const NO_KEYS = {}

interface ActionsProps {
  alert: Alert
  analyst: string
  busy: boolean
  perform: (change: Wanted) => Promise<void>
}

function Open({ alert, analyst, busy, perform }: ActionsProps) {
  const mine = analyst !== '' && alert.assignee === analyst
  return (
    <>
      <button type="button" className="button primary" disabled={busy} onClick={() => void perform({ action: 'close', disposition: 'fraud' })}>
        Close as fraud
      </button>
      <button type="button" className="button primary" disabled={busy} onClick={() => void perform({ action: 'close', disposition: 'genuine' })}>
        Close as genuine
      </button>
      {!mine && (
        <button type="button" className="button" disabled={busy} onClick={() => void perform({ action: 'assign', assignee: analyst })}>
          Assign to me
        </button>
      )}
      {alert.assignee != null && (
        <button type="button" className="button" disabled={busy} onClick={() => void perform({ action: 'assign', assignee: null })}>
          Release
        </button>
      )}
    </>
  )
}

/** Four eyes: one asks, another agrees. Who may do which is said, not left to be found out. */
function Reopen({ alert, analyst, busy, perform }: ActionsProps) {
  const asker = alert.reopen_asked_by
  const own = asker != null && asker === analyst
  return (
    <>
      <button type="button" className="button" disabled={busy || own} onClick={() => void perform({ action: 'reopen' })}>
        {asker == null ? 'Ask to reopen' : 'Agree to reopen'}
      </button>
      <p className="desk-words">
        {asker == null && 'Opening it again takes two: you ask, somebody else agrees. Its labels stay until it is closed again.'}
        {own && 'You asked to reopen it: somebody else has to agree.'}
        {asker != null && !own && `${asker} asks to reopen it. If you agree, it is ${asker}'s again.`}
      </p>
    </>
  )
}

import { useState } from 'react'
import { count } from '@/components/ui/numbers'
import type { Deed } from './useWork'

interface Props {
  selected: number
  busy: boolean
  analyst: string
  perform: (deed: Deed) => void
  clear: () => void
}

/** What can be done with the selected rows. Always there, so that nothing moves when the first one is selected. */
export function BulkBar({ selected, busy, analyst, perform, clear }: Props) {
  const [note, setNote] = useState('')
  const none = selected === 0 || busy
  const close = (disposition: 'fraud' | 'genuine') => {
    perform({ action: 'close', disposition, ...(note.trim() ? { note: note.trim() } : {}) })
    setNote('')
  }
  return (
    <div className="bulk" role="group" aria-label="With the selected alerts">
      <span className="bulk-count" role="status">
        {selected === 0 ? 'none selected' : `${count(selected)} selected`}
      </span>
      <button type="button" className="button small" disabled={none} onClick={() => perform({ action: 'assign', assignee: analyst })}>
        Assign to me
      </button>
      <button type="button" className="button small" disabled={none} onClick={() => perform({ action: 'assign', assignee: null })}>
        Release
      </button>
      <input
        className="search bulk-note"
        placeholder="Note, if there is one"
        aria-label="Note on closing"
        maxLength={4_000}
        value={note}
        disabled={none}
        onChange={(event) => setNote(event.target.value)}
      />
      <button type="button" className="button small" disabled={none} onClick={() => close('fraud')}>
        Close as fraud
      </button>
      <button type="button" className="button small" disabled={none} onClick={() => close('genuine')}>
        Close as genuine
      </button>
      <button type="button" className="button small" disabled={none} onClick={clear}>
        Clear
      </button>
    </div>
  )
}

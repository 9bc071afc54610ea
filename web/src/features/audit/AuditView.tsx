import { useCallback, useEffect, useState, type SyntheticEvent } from 'react'
import { useAccess, useRefusal } from '@/api/access'
import { listAudit, type AuditFilter } from '@/api/audit'
import { asRequestError, type RequestError } from '@/api/client'
import type { AuditEntry } from '@/api/types'
import { Field } from '@/components/ui/Field'
import { replacePlace, usePlace } from '@/components/ui/location'
import { Notice } from '@/components/ui/Notice'
import { count } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { dateTime } from '@/components/ui/times'
import { Unanswered } from '@/components/ui/Unanswered'
import './audit.css'
import { filterOf, KINDS, queryOf, typedTime, type Filter } from './filter'

/** Who did and saw what, for those who watch over it. */
export function AuditView() {
  const { me } = useAccess()
  const refusal = useRefusal('admin')
  const { query } = usePlace()
  const filter = filterOf(query)
  return (
    <div className="audit">
      <header className="page-head">
        <h1>Audit</h1>
        <p>Every change, every look at what is about people, every refusal. Entries are only added, and each holds the hash of the one before.</p>
      </header>
      {refusal && (
        <Notice tone="plain" title="The audit log is for admins">
          <p>Reading it {refusal}.</p>
        </Notice>
      )}
      {/* Somebody who may not read it is not to stand in it for having opened a page. */}
      {me && !refusal && (
        <>
          <Filters key={`filters ${queryOf(filter)}`} filter={filter} />
          <Entries key={queryOf(filter)} filter={filter} />
        </>
      )}
    </div>
  )
}

function Filters({ filter }: { filter: Filter }) {
  const [typed, setTyped] = useState(filter)
  const submit = (event: SyntheticEvent) => {
    event.preventDefault()
    replacePlace(`/audit${queryOf(typed)}`)
  }
  const change = (next: Partial<Filter>) => setTyped((before) => ({ ...before, ...next }))
  return (
    <form className="audit-filters panel" role="search" aria-label="Which entries" onSubmit={submit}>
      <Field name="Who" control={(props) => <input {...props} autoComplete="off" value={typed.by} onChange={(event) => change({ by: event.target.value })} />} />
      <Field
        name="What"
        control={(props) => (
          <>
            <input {...props} list="audit-actions" autoComplete="off" value={typed.action} onChange={(event) => change({ action: event.target.value })} />
            <datalist id="audit-actions">
              {KINDS.map((kind) => (
                <option key={kind} value={kind} />
              ))}
            </datalist>
          </>
        )}
      />
      {(['from', 'to'] as const).map((key) => (
        <Field
          key={key}
          name={key === 'from' ? 'From, UTC' : 'To, UTC'}
          control={(props) => (
            <input {...props} type="datetime-local" step={1} value={typedTime(typed[key])} onChange={(event) => change({ [key]: event.target.value })} />
          )}
        />
      ))}
      <div className="audit-buttons">
        <button type="submit" className="button primary">
          Show
        </button>
        {queryOf(filter) !== '' && (
          <button type="button" className="button" onClick={() => replacePlace('/audit')}>
            All
          </button>
        )}
      </div>
    </form>
  )
}

interface Read {
  entries: readonly AuditEntry[]
  /** For the page after these; null if there is none. */
  next: string | null
}

/** Pages that were read, one after the other. */
function useEntries(filter: AuditFilter) {
  const [read, setRead] = useState<Read | null>(null)
  const [error, setError] = useState<RequestError | null>(null)
  const [busy, setBusy] = useState(true)
  const { by, action, from, to } = filter
  const ask = useCallback(
    (cursor: string | null, signal: AbortSignal) =>
      listAudit({ by, action, from, to }, cursor, signal)
        .then(({ items, next_cursor }) => {
          if (signal.aborted) return
          setRead((before) => ({ entries: cursor === null || !before ? items : [...before.entries, ...items], next: next_cursor ?? null }))
          setError(null)
          setBusy(false)
        })
        .catch((cause: unknown) => {
          if (signal.aborted) return
          setError(asRequestError(cause))
          setBusy(false)
        }),
    [by, action, from, to],
  )
  useEffect(() => {
    const request = new AbortController()
    void ask(null, request.signal)
    return () => request.abort()
  }, [ask])
  const more = (cursor: string | null) => {
    setBusy(true)
    void ask(cursor, new AbortController().signal)
  }
  return { read, error, busy, more }
}

function Entries({ filter }: { filter: Filter }) {
  const { read, error, busy, more } = useEntries(filter)
  const side = (
    <button type="button" className="button small" disabled={busy} onClick={() => more(null)}>
      Read again
    </button>
  )
  return (
    <Panel title="Entries" note={read ? `${count(read.entries.length)}, the newest first` : undefined} side={side} className="audit-entries">
      {error && <Unanswered title="The audit log did not come" error={error} again={() => more(null)} />}
      {!read && !error && <div className="audit-place" aria-busy="true" />}
      {read?.entries.length === 0 && (
        <Notice tone="plain" title="No entry is like that">
          <p>An action is one, as rule.put, or all of a kind, as rule.*; who is a whole name.</p>
        </Notice>
      )}
      {read && read.entries.length > 0 && <SortTable caption="Audit log" columns={columns} rows={read.entries} keyOf={({ number }) => String(number)} />}
      {read?.next && (
        <p className="audit-more">
          <button type="button" className="button" disabled={busy} onClick={() => more(read.next)}>
            {busy ? 'Reading …' : 'Older entries'}
          </button>
        </p>
      )}
    </Panel>
  )
}

/** Enough to compare it with one that was kept elsewhere. */
const HASH_SHOWN = 12

const columns: readonly Column<AuditEntry>[] = [
  { name: '#', cell: ({ number }) => number, by: ({ number }) => number, kind: 'number', heads: true },
  { name: 'When, UTC', cell: ({ at }) => dateTime(at), by: ({ at }) => at },
  { name: 'Who', cell: ({ by, roles }) => <span title={roles || undefined}>{by}</span>, by: ({ by }) => by },
  { name: 'What', cell: ({ action }) => action, by: ({ action }) => action, kind: 'code' },
  { name: 'To what', cell: ({ subject }) => subject, by: ({ subject }) => subject, kind: 'code' },
  { name: 'More', cell: ({ detail }) => detail, by: ({ detail }) => detail, kind: 'wide' },
  {
    name: 'Came of it',
    cell: ({ outcome }) => (
      <span className="audit-outcome" data-good={isGood(outcome)}>
        {outcome}
      </span>
    ),
    by: ({ outcome }) => outcome,
    kind: 'code',
  },
  { name: 'Hash', cell: ({ hash }) => <span title={hash}>{hash.slice(0, HASH_SHOWN)}</span>, kind: 'code' },
]

/** An HTTP status below 400, or `ok`. */
function isGood(outcome: string) {
  return outcome === 'ok' || Number(outcome) < 400
}

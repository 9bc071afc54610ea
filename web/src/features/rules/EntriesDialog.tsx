import { useMemo, useState } from 'react'
import { delist, dropList, enlist, type Signed } from '@/api/rules'
import type { ListEntry, ListInShort } from '@/api/types'
import { Field } from '@/components/ui/Field'
import { bytes, count } from '@/components/ui/numbers'
import { ChangeDialog, type Changing } from './ChangeDialog'
import { readEntries, type ReadEntries } from './entries'
import { asInstant, kindOf } from './words'

/** What the server takes at once; more is for `redflag lists import`. */
const BYTES_MAX = 16 * 1024 * 1024

/** Values to be put on a list: typed, pasted, or from a file. */
export function EntriesDialog({ list, ...changing }: Changing & { list: ListInShort }) {
  const [text, setText] = useState('')
  const [expires, setExpires] = useState('')
  const read = useMemo(() => readEntries(text), [text])
  const mistake = entriesMistake(text, read, list.name)
  const post = (signed: Signed) => {
    const entries = read.entries.map((entry): ListEntry => ({ ...entry, expires: entry.expires ?? asInstant(expires) }))
    return enlist(list.name, entries, signed)
  }
  return (
    <ChangeDialog {...changing} title={`Put values on ${list.name}`} action={putWords(read)} fits={mistake === undefined} post={post}>
      {({ tried }) => (
        <>
          <Consequence list={list} />
          <Field
            name="Values"
            hint="One a line, or CSV whose first line names value, and reason, owner, expires if they are there."
            mistake={tried ? mistake : undefined}
            control={(props) => (
              <textarea {...props} className="entries-text" rows={6} spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />
            )}
          />
          <Field
            name="From a file"
            hint="CSV or text, up to 16 MiB. Its lines appear above."
            control={(props) => (
              <input {...props} type="file" accept=".csv,.txt,text/csv,text/plain" onChange={(event) => void event.target.files?.[0]?.text().then(setText)} />
            )}
          />
          <p className="entries-read" role="status">
            {text.trim() !== '' && readWords(read)}
          </p>
          <Field
            name="Expires, UTC"
            hint="By the time of events; empty for never. What a file says of a value comes first."
            control={(props) => <input {...props} type="datetime-local" step={1} value={expires} onChange={(event) => setExpires(event.target.value)} />}
          />
        </>
      )}
    </ChangeDialog>
  )
}

const BECOMES = { deny: 'is declined', allow: 'is approved', watch: 'is sent to review' } as const

function Consequence({ list }: { list: ListInShort }) {
  const kind = kindOf(list)
  if (kind === 'plain') return <p>Rules that read the list know these values from the next transaction on.</p>
  return (
    <p>
      What has one of these in <code>{list.field}</code> {BECOMES[kind]}, from the next transaction on.
    </p>
  )
}

function putWords({ entries }: ReadEntries) {
  return entries.length > 1 ? `Put ${count(entries.length)} on` : 'Put it on'
}

function readWords({ entries }: ReadEntries) {
  const [first, second] = entries
  if (!first) return 'No values yet.'
  if (!second) return `One value: ${first.value}.`
  return `${count(entries.length)} values: ${first.value}, ${second.value}${entries.length > 2 ? ' and so on' : ''}.`
}

const MISTAKES_SHOWN = 5

function entriesMistake(text: string, { entries, mistakes }: ReadEntries, list: string) {
  const more = mistakes.length - MISTAKES_SHOWN
  if (mistakes.length > 0) return `${mistakes.slice(0, MISTAKES_SHOWN).join('; ')}${more > 0 ? `; and ${count(more)} more` : ''}.`
  if (entries.length === 0) return 'Give at least one value.'
  if (text.length > BYTES_MAX) return `That is ${bytes(text.length)}; what is larger than 16 MiB is for redflag lists import ${list} FILE.`
  return undefined
}

/** Values to be taken off. */
export function RemovalDialog({ list, values, ...changing }: Changing & { list: ListInShort; values: readonly string[] }) {
  const post = (signed: Signed) => delist(list.name, values, signed)
  const what = values.length === 1 ? (values[0] ?? '') : `${count(values.length)} values`
  return (
    <ChangeDialog {...changing} title={`Take ${what} off ${list.name}`} action="Take off" fits={values.length > 0} post={post}>
      {() => (
        <p>
          From the next transaction on {values.length === 1 ? 'it is' : 'they are'} on the list no longer, and can be put on again.
        </p>
      )}
    </ChangeDialog>
  )
}

/** The whole list to be taken away. */
export function DropDialog({ list, ...changing }: Changing & { list: ListInShort }) {
  const post = (signed: Signed) => dropList(list.name, signed)
  return (
    <ChangeDialog {...changing} title={`Drop ${list.name}?`} action="Drop it" fits post={post}>
      {() => <p>The list goes, with the {count(list.entries)} values on it. The history keeps it: an earlier rulebook can be published again.</p>}
    </ChangeDialog>
  )
}

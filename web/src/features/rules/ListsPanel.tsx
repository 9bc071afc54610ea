import { useState } from 'react'
import { putList, type Signed } from '@/api/rules'
import type { DetectorInfo, ListInShort } from '@/api/types'
import { Field, type FieldControl } from '@/components/ui/Field'
import { Link } from '@/components/ui/Link'
import { Notice } from '@/components/ui/Notice'
import { count, NONE } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { ChangeDialog, type Changing } from './ChangeDialog'
import { nameMistake } from './typed'
import { KIND_MEANS, kindOf, KINDS, type Kind } from './words'

interface Props {
  lists: readonly ListInShort[]
  /** Null for who may only look. */
  onMake: (() => void) | null
}

/** Lists with how many values are on them. */
export function ListsPanel({ lists, onMake }: Props) {
  const side = onMake && (
    <button type="button" className="button small" onClick={onMake}>
      New list
    </button>
  )
  return (
    <Panel title="Lists" note="of cards, terminals, countries" side={side} className="rules-lists">
      {lists.length === 0 && (
        <Notice tone="plain" title="No lists">
          <p>A list holds values of a field, and declines, approves or sends to review whatever has one of them.</p>
        </Notice>
      )}
      {lists.length > 0 && <SortTable caption="Lists" columns={columns} rows={lists} keyOf={({ name }) => name} />}
    </Panel>
  )
}

const columns: readonly Column<ListInShort>[] = [
  { name: 'List', cell: ({ name }) => <Link href={`/rules/lists/${encodeURIComponent(name)}`}>{name}</Link>, by: ({ name }) => name, kind: 'code', heads: true },
  { name: 'What it does', cell: (list) => `${kindOf(list)}, ${KIND_MEANS[kindOf(list)]}`, by: ({ kind }) => kind },
  { name: 'Field', cell: ({ field }) => field ?? NONE, by: ({ field }) => field, kind: 'code' },
  { name: 'Values', cell: ({ entries }) => count(entries), by: ({ entries }) => entries, kind: 'number' },
  { name: 'Owner', cell: ({ owner }) => owner || NONE, by: ({ owner }) => owner },
]

/** Whose values a list can hold. */
const ROLES = ['key', 'entity', 'category', 'id']

interface DialogProps extends Changing {
  /** Null for a new one. */
  list: ListInShort | null
  detector: DetectorInfo | null
}

/** A list to be made, or what one is to do. */
export function ListDialog({ list, detector, ...changing }: DialogProps) {
  const [name, setName] = useState(list?.name ?? '')
  const [kind, setKind] = useState<Kind>(() => (list ? kindOf(list) : 'deny'))
  const [field, setField] = useState(list?.field ?? '')
  const taken = list ? [] : changing.book.lists.map((other) => other.name)
  const mistakes = { name: nameMistake(name.trim(), taken), field: kind !== 'plain' && field === '' ? 'Say whose values it holds.' : undefined }
  const post = (signed: Signed) => putList(name.trim(), { kind, field: field || null, owner: list?.owner ?? '', ...signed })
  return (
    <ChangeDialog {...changing} title={list ? `Change ${list.name}` : 'A new list'} action="Publish" fits={!mistakes.name && !mistakes.field} post={post}>
      {({ tried }) => (
        <>
          <Field
            name="Name"
            hint="Letters, digits and _."
            mistake={tried ? mistakes.name : undefined}
            control={(props) => <input {...props} autoComplete="off" spellCheck={false} readOnly={list !== null} value={name} onChange={(event) => setName(event.target.value)} />}
          />
          <Field
            name="Kind"
            hint={`It ${KIND_MEANS[kind]}.`}
            control={(props) => (
              <select {...props} value={kind} onChange={(event) => setKind(event.target.value as Kind)}>
                {KINDS.map((one) => (
                  <option key={one}>{one}</option>
                ))}
              </select>
            )}
          />
          <Field
            name="Field"
            mistake={tried ? mistakes.field : undefined}
            control={(props) => <FieldChoice {...props} detector={detector} value={field} onChange={setField} />}
          />
        </>
      )}
    </ChangeDialog>
  )
}

type ChoiceProps = FieldControl & { detector: DetectorInfo | null; value: string; onChange: (field: string) => void }

function FieldChoice({ detector, value, onChange, ...props }: ChoiceProps) {
  const known = detector?.fields.filter(({ role }) => ROLES.includes(role)).map(({ name }) => name) ?? []
  return (
    <select {...props} value={value} onChange={(event) => onChange(event.target.value)}>
      <option value="">none</option>
      {[...new Set(value === '' ? known : [...known, value])].map((name) => (
        <option key={name}>{name}</option>
      ))}
    </select>
  )
}

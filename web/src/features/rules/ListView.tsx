import { useCallback, useState } from 'react'
import { useRefusal } from '@/api/access'
import type { RequestError } from '@/api/client'
import { getDetector } from '@/api/inspection'
import { getList, getRules } from '@/api/rules'
import { useLive } from '@/api/store'
import type { ListEntry, ListPage, RulebookNote, RulesInForce } from '@/api/types'
import { useAsked, type Asked } from '@/api/useAsked'
import { Link } from '@/components/ui/Link'
import { navigate } from '@/components/ui/location'
import { Notice } from '@/components/ui/Notice'
import { count, NONE } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { dateTime } from '@/components/ui/times'
import { Unanswered } from '@/components/ui/Unanswered'
import { afterDone, type Changing } from './ChangeDialog'
import { DropDialog, EntriesDialog, RemovalDialog } from './EntriesDialog'
import { ListDialog } from './ListsPanel'
import { RulesHead } from './RulesHead'
import './rules.css'
import { useSettled } from './useSettled'
import { isOver, KIND_MEANS, kindOf } from './words'

/** Each look at a list is noted in the audit log, once a minute at most. */
const EVERY_MS = 15_000
const FIRST_SHOWN = 100
const MOST_SHOWN = 1_000

type Wish = { to: 'put' | 'change' | 'drop' } | { to: 'take'; values: readonly string[] }

/** One list: what is on it, found by a part of it, put on and taken off. */
export function ListView({ name }: { name: string }) {
  const values = useValues(name)
  const [rules, askRules] = useAsked('rules', getRules, EVERY_MS)
  const [wish, setWish] = useState<Wish | null>(null)
  const [done, setDone] = useState<RulebookNote | null>(null)
  const engineers = useRefusal('engineer')
  const analysts = useRefusal('analyst')
  const askAll = () => {
    askRules()
    values.again()
  }
  const finish = (note: RulebookNote) => {
    if (wish?.to === 'drop') {
      navigate('/rules')
      return
    }
    setDone(note)
    setWish(null)
    values.choose(new Set())
    askAll()
  }
  const list = useList(values.page, rules, name)

  return (
    <div className="rules">
      <p>
        <Link href="/rules" className="back">
          Rules
        </Link>
      </p>
      <RulesHead title={<>List {name}</>} rules={rules} refusal={refusalWords(analysts, engineers)} done={done} again={askAll} />
      {values.page.phase === 'failed' && <NoList name={name} error={values.page.error} again={askAll} />}
      {list && <ListPanel list={list} values={values} mayPut={!analysts} mayChange={!engineers} onWish={setWish} />}
      {wish && list && rules.phase === 'ready' && (
        <WishDialog
          wish={wish}
          list={list}
          changing={{ book: afterDone(rules.value, done), onDone: finish, onStale: askAll, onClose: () => setWish(null) }}
        />
      )}
    </div>
  )
}

/** The values that are looked for, and those that were chosen of them. */
function useValues(name: string) {
  const [typed, type] = useState('')
  const contains = useSettled(typed.trim())
  const [limit, setLimit] = useState(FIRST_SHOWN)
  const [chosen, choose] = useState<ReadonlySet<string>>(new Set())
  const ask = useCallback((signal: AbortSignal) => getList(name, contains, limit, signal), [name, contains, limit])
  const [page, again] = useAsked(`list ${name} ${contains} ${limit}`, ask, EVERY_MS)
  return { typed, type, contains, limit, setLimit, chosen, choose, page, again }
}

type SearchedValues = ReturnType<typeof useValues>

interface PanelProps {
  list: InShort
  values: SearchedValues
  mayPut: boolean
  mayChange: boolean
  onWish: (wish: Wish) => void
}

function ListPanel({ list, values, mayPut, mayChange, onWish }: PanelProps) {
  const { typed, type, chosen } = values
  const side = <Steps mayPut={mayPut} mayChange={mayChange} onWish={(to) => onWish({ to })} />
  return (
    <Panel title="Values" note={listWords(list)} side={side} className="list-panel">
      <div className="rules-narrow" role="search" aria-label="Which values">
        <input
          type="search"
          className="search"
          placeholder="Part of a value"
          aria-label="Values that contain"
          value={typed}
          onChange={(event) => type(event.target.value)}
        />
        {mayPut && <Taking chosen={chosen} onTake={() => onWish({ to: 'take', values: [...chosen] })} />}
      </div>
      <Values values={values} total={list.entries} mayChoose={mayPut} />
      <More page={values.page} limit={values.limit} onMore={() => values.setLimit(MOST_SHOWN)} />
    </Panel>
  )
}

function NoList({ name, error, again }: { name: string; error: RequestError; again: () => void }) {
  if (!error.notFound) return <Unanswered title="The list did not come" error={error} again={again} />
  return (
    <Notice tone="plain" title="There is no such list" actions={<Link href="/rules">To the rules</Link>}>
      <p>
        The rulebook in force has no list of the name <code>{name}</code>.
      </p>
    </Notice>
  )
}

function refusalWords(analysts: string | undefined, engineers: string | undefined) {
  if (analysts) return `You can look; putting values on ${analysts}.`
  return engineers && `You can put values on and take them off; changing the list itself ${engineers}.`
}

/** The list as its page says, or as the rulebook does while another page of it is on its way. */
function useList(page: Asked<ListPage>, rules: Asked<RulesInForce>, name: string) {
  if (page.phase === 'ready') return page.value.list
  if (page.phase === 'failed' || rules.phase !== 'ready') return undefined
  return rules.value.lists.find((list) => list.name === name)
}

type InShort = ListPage['list']

function listWords(list: InShort) {
  const kind = kindOf(list)
  return `${count(list.entries)}; ${kind}: ${KIND_MEANS[kind]}${list.field ? `, by ${list.field}` : ''}${list.owner ? `; owner ${list.owner}` : ''}`
}

function Steps({ mayPut, mayChange, onWish }: { mayPut: boolean; mayChange: boolean; onWish: (to: 'put' | 'change' | 'drop') => void }) {
  return (
    <>
      {mayChange && (
        <>
          <button type="button" className="button small" onClick={() => onWish('drop')}>
            Drop
          </button>
          <button type="button" className="button small" onClick={() => onWish('change')}>
            Change
          </button>
        </>
      )}
      {mayPut && (
        <button type="button" className="button primary small" onClick={() => onWish('put')}>
          Put values on
        </button>
      )}
    </>
  )
}

function Taking({ chosen, onTake }: { chosen: ReadonlySet<string>; onTake: () => void }) {
  return (
    <button type="button" className="button small list-take" disabled={chosen.size === 0} onClick={onTake}>
      {chosen.size === 0 ? 'Choose values to take off' : `Take ${count(chosen.size)} off`}
    </button>
  )
}

function Values({ values, total, mayChoose }: { values: SearchedValues; total: number; mayChoose: boolean }) {
  const { page, contains, chosen, choose } = values
  const now = useLive((state) => state.stats?.stream_time)
  if (page.phase !== 'ready') return <div className="rules-history-place" aria-busy="true" />
  if (total === 0) return <p className="rules-nothing">Nothing is on it yet.</p>
  if (page.value.found === 0) return <p className="rules-nothing">None of {count(total)} values contains “{contains}”.</p>
  const columns = mayChoose ? [choice(chosen, choose), ...entryColumns(now)] : entryColumns(now)
  return <SortTable caption="Values" columns={columns} rows={page.value.entries} keyOf={({ value }) => value} />
}

function entryColumns(now: string | null | undefined): Column<ListEntry>[] {
  return [
    { name: 'Value', cell: ({ value }) => value, by: ({ value }) => value, kind: 'code', heads: true },
    { name: 'Why', cell: ({ reason = '' }) => reason || NONE, by: ({ reason }) => reason, kind: 'wide' },
    { name: 'Owner', cell: ({ owner = '' }) => owner || NONE, by: ({ owner }) => owner },
    {
      name: 'Expires, UTC',
      cell: ({ expires }) => (
        <>
          {expires ? dateTime(expires) : 'never'} {isOver(expires, now) && <b className="rule-over">expired</b>}
        </>
      ),
      by: ({ expires }) => expires,
    },
  ]
}

function choice(chosen: ReadonlySet<string>, onChoose: (chosen: ReadonlySet<string>) => void): Column<ListEntry> {
  const turned = (value: string) => {
    const next = new Set(chosen)
    if (!next.delete(value)) next.add(value)
    return next
  }
  return {
    name: 'Choose',
    cell: ({ value }) => <input type="checkbox" aria-label={`Choose ${value}`} checked={chosen.has(value)} onChange={() => onChoose(turned(value))} />,
  }
}

function More({ page, limit, onMore }: { page: Asked<ListPage>; limit: number; onMore: () => void }) {
  if (page.phase !== 'ready' || page.value.found <= page.value.entries.length) return null
  const { found, entries } = page.value
  return (
    <p className="rules-nothing">
      {count(entries.length)} of {count(found)} values are shown, those that were put there first.{' '}
      {limit < MOST_SHOWN ? (
        <button type="button" className="button small" onClick={onMore}>
          Show {count(Math.min(found, MOST_SHOWN))}
        </button>
      ) : (
        'Search for the others.'
      )}
    </p>
  )
}

function WishDialog({ wish, list, changing }: { wish: Wish; list: InShort; changing: Changing }) {
  const [detector] = useAsked('detector', getDetector)
  switch (wish.to) {
    case 'put':
      return <EntriesDialog {...changing} list={list} />
    case 'take':
      return <RemovalDialog {...changing} list={list} values={wish.values} />
    case 'drop':
      return <DropDialog {...changing} list={list} />
    case 'change':
      return <ListDialog {...changing} list={list} detector={detector.phase === 'ready' ? detector.value : null} />
  }
}

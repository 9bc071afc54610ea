import { useCallback, useState } from 'react'
import { useRefusal } from '@/api/access'
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
  const [typed, setTyped] = useState('')
  const contains = useSettled(typed.trim())
  const [limit, setLimit] = useState(FIRST_SHOWN)
  const ask = useCallback((signal: AbortSignal) => getList(name, contains, limit, signal), [name, contains, limit])
  const [page, askPage] = useAsked(`list ${name} ${contains} ${limit}`, ask, EVERY_MS)
  const [rules, askRules] = useAsked('rules', getRules, EVERY_MS)
  const [wish, setWish] = useState<Wish | null>(null)
  const [done, setDone] = useState<RulebookNote | null>(null)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const engineers = useRefusal('engineer')
  const analysts = useRefusal('analyst')
  const askAll = useCallback(() => {
    askRules()
    askPage()
  }, [askRules, askPage])
  const finish = (note: RulebookNote) => {
    if (wish?.to === 'drop') {
      navigate('/rules')
      return
    }
    setDone(note)
    setWish(null)
    setChosen(new Set())
    askAll()
  }
  const list = useList(page, rules, name)
  const gone = page.phase === 'failed' && page.error.notFound

  return (
    <div className="rules">
      <p>
        <Link href="/rules" className="back">
          Rules
        </Link>
      </p>
      <RulesHead title={<>List {name}</>} rules={rules} refusal={refusalWords(analysts, engineers)} done={done} again={askAll} />
      {gone && (
        <Notice tone="plain" title="There is no such list" actions={<Link href="/rules">To the rules</Link>}>
          <p>No rulebook in force has a list of the name {name}.</p>
        </Notice>
      )}
      {page.phase === 'failed' && !gone && <Unanswered title="The list did not come" error={page.error} again={askAll} />}
      {list && (
        <Panel
          title="Values"
          note={listWords(list)}
          side={<Steps mayPut={!analysts} mayChange={!engineers} onWish={(to) => setWish({ to })} />}
          className="list-panel"
        >
          <div className="rules-narrow" role="search" aria-label="Which values">
            <input
              type="search"
              className="search"
              placeholder="Part of a value"
              aria-label="Values that contain"
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
            {!analysts && <Taking chosen={chosen} onTake={() => setWish({ to: 'take', values: [...chosen] })} />}
          </div>
          <Values
            page={page}
            total={list.entries}
            contains={contains}
            chosen={analysts ? null : chosen}
            onChoose={setChosen}
          />
          <More page={page} limit={limit} onMore={() => setLimit(MOST_SHOWN)} />
        </Panel>
      )}
      {wish && list && rules.phase === 'ready' && (
        <WishDialog wish={wish} list={list} changing={{ book: afterDone(rules.value, done), onDone: finish, onStale: askAll, onClose: () => setWish(null) }} />
      )}
    </div>
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

interface ValuesProps {
  page: Asked<ListPage>
  total: number
  contains: string
  /** Null for who may only look. */
  chosen: ReadonlySet<string> | null
  onChoose: (chosen: ReadonlySet<string>) => void
}

function Values({ page, total, contains, chosen, onChoose }: ValuesProps) {
  const now = useLive((state) => state.stats?.stream_time)
  if (page.phase !== 'ready') return <div className="rules-history-place" aria-busy="true" />
  if (total === 0) return <p className="rules-nothing">Nothing is on it yet.</p>
  if (page.value.found === 0) return <p className="rules-nothing">None of {count(total)} values contains “{contains}”.</p>
  const columns = chosen ? [choice(chosen, onChoose), ...entryColumns(now)] : entryColumns(now)
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

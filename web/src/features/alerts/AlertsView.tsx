import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { listAlerts, nextAlert } from '@/api/alerts'
import { asRequestError, type RequestError } from '@/api/client'
import { useLive } from '@/api/store'
import { useAsked } from '@/api/useAsked'
import type { Alert } from '@/api/types'
import { navigate } from '@/components/ui/location'
import { Unanswered } from '@/components/ui/Unanswered'
import './alerts.css'
import { AlertTiles } from './AlertTiles'
import { useAnalyst } from './analyst'
import { AnalystField } from './AnalystField'
import { BulkBar } from './BulkBar'
import { FilterBar } from './FilterBar'
import { questionOf, useFilters } from './filters'
import { KeysDialog } from './KeysDialog'
import { Queue } from './Queue'
import { useKeys } from './useKeys'
import { useWork, type Deed } from './useWork'

const EVERY_MS = 5_000
const PAGE = 50
/** The server lists no more at once. */
const LIMIT_MAX = 500

const KEYS = [
  ['j', 'next row'],
  ['k', 'row before'],
  ['x', 'select the row'],
  ['Enter', 'open the row'],
  ['n', 'take the next alert'],
  ['a', 'assign to me'],
  ['f', 'close as fraud'],
  ['g', 'close as genuine'],
  ['/', 'search for an entity'],
  ['?', 'these keys'],
] as const

export function AlertsView() {
  const [filters, change] = useFilters()
  const [analyst] = useAnalyst()
  const [wanted, setWanted] = useState(0)
  const [limit, setLimit] = useState(PAGE)
  const [selected, setSelected] = useState<ReadonlySet<number>>(new Set())
  const [told, setTold] = useState('')
  const [showsKeys, setShowsKeys] = useState(false)
  const question = questionOf(filters, analyst, limit).toString()
  const ask = useCallback((signal: AbortSignal) => listAlerts(new URLSearchParams(question), signal), [question])
  const [asked, again] = useAsked('alerts', ask, EVERY_MS)
  useAgainWithNews(again)
  const work = useWork(analyst, again)
  const rows = asked.phase === 'ready' ? asked.value.items : NO_ALERTS
  const current = useRef<number | null>(null)

  const named = useCallback(
    (act: () => void) => {
      if (analyst) act()
      else setWanted((times) => times + 1)
    },
    [analyst],
  )
  /** With the selected rows, else with the one that has the focus. */
  const perform = useCallback(
    (deed: Deed) => {
      const chosen = rows.filter(({ id }) => (selected.size > 0 ? selected.has(id) : id === current.current))
      if (chosen.length === 0) setTold('Select rows first, or go to one with j and k.')
      else named(() => void work.perform(deed, chosen).then(() => setSelected(new Set())))
    },
    [rows, selected, work, named],
  )
  const takeNext = useCallback(() => {
    named(() => void takeOne(analyst, setTold))
  }, [analyst, named])
  const focused = useCallback((id: number) => {
    current.current = id
  }, [])
  const toggle = useCallback((id: number) => setSelected((before) => toggled(before, id)), [])

  const keys = useMemo(
    () => ({
      j: () => focusRow(rows, current.current, 1),
      ArrowDown: () => focusRow(rows, current.current, 1),
      k: () => focusRow(rows, current.current, -1),
      ArrowUp: () => focusRow(rows, current.current, -1),
      x: () => {
        if (current.current !== null) toggle(current.current)
      },
      n: takeNext,
      a: () => perform({ action: 'assign', assignee: analyst }),
      f: () => perform({ action: 'close', disposition: 'fraud' }),
      g: () => perform({ action: 'close', disposition: 'genuine' }),
      '/': () => document.querySelector<HTMLInputElement>('.alerts-search')?.focus(),
      '?': () => setShowsKeys(true),
    }),
    [rows, analyst, takeNext, perform, toggle],
  )
  useKeys(keys)

  return (
    <div className="alerts">
      <header className="alerts-head">
        <h1>Alerts</h1>
        <AnalystField wanted={wanted} />
        <button type="button" className="button primary" onClick={takeNext}>
          Next alert
        </button>
        <button type="button" className="button" onClick={() => setShowsKeys(true)}>
          Keys
        </button>
        <p role="status" className="alerts-told">
          {told}
        </p>
      </header>
      <AlertTiles counts={asked.phase === 'ready' ? asked.value.counts : null} />
      <FilterBar filters={filters} analyst={analyst} change={change} />
      <BulkBar selected={selected.size} busy={work.busy} analyst={analyst} perform={perform} clear={() => setSelected(new Set())} />
      {asked.phase === 'failed' ? (
        <div className="panel">
          <Unanswered title="The alerts did not come" error={asked.error} again={again} />
        </div>
      ) : (
        <Queue
          rows={asked.phase === 'ready' ? rows : null}
          failure={asked.phase === 'ready' ? asked.failure : null}
          filters={filters}
          selected={selected}
          outcomes={work.outcomes}
          focused={focused}
          toggle={toggle}
          more={asked.phase === 'ready' && asked.value.next_cursor != null && limit < LIMIT_MAX ? () => setLimit((before) => Math.min(LIMIT_MAX, before * 2)) : null}
        />
      )}
      {showsKeys && <KeysDialog keys={KEYS} onClose={() => setShowsKeys(false)} />}
    </div>
  )
}

const NO_ALERTS: readonly Alert[] = []

/** A new alert, told by the live feed, does not wait for the next time of asking. */
function useAgainWithNews(again: () => void) {
  const newest = useLive((state) => state.newestAlert?.id ?? null)
  useEffect(() => {
    if (newest !== null) again()
  }, [newest, again])
}

async function takeOne(by: string, tell: (words: string) => void) {
  try {
    const alert = await nextAlert(by)
    if (alert) navigate(`/alerts/${alert.id}`)
    else tell('No alert waits for anybody.')
  } catch (caught) {
    tell(notTaken(asRequestError(caught)))
  }
}

function notTaken({ problem }: RequestError) {
  return `No alert was taken: ${problem.detail || problem.title}`
}

function toggled(before: ReadonlySet<number>, id: number): ReadonlySet<number> {
  const after = new Set(before)
  if (!after.delete(id)) after.add(id)
  return after
}

function focusRow(rows: readonly Alert[], current: number | null, step: 1 | -1) {
  const at = rows.findIndex(({ id }) => id === current)
  const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))]
  if (next) document.getElementById(`alert-${next.id}`)?.focus()
}

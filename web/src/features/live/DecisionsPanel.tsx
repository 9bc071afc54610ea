import { useState } from 'react'
import { useLive, type Sampling } from '@/api/store'
import { OUTCOMES, type Stats } from '@/api/types'
import { replacePlace, usePlace } from '@/components/ui/location'
import { Notice } from '@/components/ui/Notice'
import { count } from '@/components/ui/numbers'
import { OutcomeMark } from '@/components/ui/OutcomeBadge'
import { Panel } from '@/components/ui/Panel'
import { Segments } from '@/components/ui/Segments'
import { DecisionTable, DecisionTableSkeleton } from './DecisionTable'
import { FirstTransaction } from './FirstTransaction'
import { placeOfChoice } from './range'
import { useHeldRows, type Filter, type Rows } from './useHeldRows'
import { useHistory } from './useHistory'

const filters = [
  { value: 'all', text: 'All' },
  { value: 'approve', text: 'Approved', mark: <OutcomeMark outcome="approve" /> },
  { value: 'review', text: 'In review', mark: <OutcomeMark outcome="review" /> },
  { value: 'decline', text: 'Declined', mark: <OutcomeMark outcome="decline" /> },
] as const satisfies readonly { value: Filter; text: string; mark?: unknown }[]

interface Props {
  paused: boolean
  onPause: (paused: boolean) => void
  /** The page shows a range of the past, and these rows are not of it. */
  past: boolean
}

export function DecisionsPanel({ paused, onPause, past }: Props) {
  const { query } = usePlace()
  const filter = readFilter(query)
  const [reaching, setReaching] = useState(false)
  const stats = useLive((state) => state.stats)
  const sampling = useLive((state) => state.sampling)
  const complete = useHistory(filter)
  const list = useHeldRows(filter, complete, paused || reaching)

  const controls = (
    <>
      <Segments label="Outcome" options={filters} value={filter} onChange={(next) => replacePlace(placeOf(query, next))} />
      <button type="button" className="button" aria-pressed={paused} onClick={() => onPause(!paused)}>
        {paused ? 'Resume' : 'Pause'}
      </button>
    </>
  )
  return (
    <Panel
      title="Decisions"
      note={
        <>
          {past && 'the newest (live), not those of the range: '}
          <ListingNote list={list} paused={paused} sampling={filter === 'all' ? sampling : null} />
        </>
      }
      side={controls}
      className="decisions-panel"
    >
      <div className="decisions-scroll" tabIndex={0} role="region" aria-label="Decisions, scrollable">
        {!stats && <DecisionTableSkeleton />}
        {stats && list.rows.length > 0 && (
          <DecisionTable rows={list.rows} currency={stats.currency} onReach={setReaching} />
        )}
        {stats && list.rows.length === 0 && <NoRows filter={filter} stats={stats} />}
      </div>
    </Panel>
  )
}

function ListingNote({ list, paused, sampling }: { list: Rows; paused: boolean; sampling: Sampling | null }) {
  if (list.held) {
    const why = paused ? 'Paused' : 'Held while you choose'
    return (
      <span className="held">
        {why}, <b>{count(list.waiting)}</b> waiting
      </span>
    )
  }
  if (sampling) {
    return (
      <span className="sampled">
        newest first, a sample: <b>{count(sampling.listed)}</b> of <b>{count(sampling.made)}</b> in the last 5 s
      </span>
    )
  }
  return <>newest first</>
}

function NoRows({ filter, stats }: { filter: Filter; stats: Stats }) {
  if (stats.totals.decisions === 0) return <FirstTransaction detector={stats.detector} />
  const word = filters.find(({ value }) => value === filter)?.text.toLowerCase() ?? ''
  return <Notice tone="plain" title={filter === 'all' ? 'No decision to list yet' : `None ${word} so far`} />
}

function readFilter(query: URLSearchParams): Filter {
  const asked = query.get('outcome')
  return OUTCOMES.find((outcome) => outcome === asked) ?? 'all'
}

function placeOf(query: URLSearchParams, filter: Filter) {
  return placeOfChoice(query, 'outcome', filter === 'all' ? null : filter)
}

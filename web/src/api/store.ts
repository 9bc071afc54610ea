/**
 * The live data of the page, and the only place it is kept. `live.ts` writes it, components read it with `useLive`.
 *
 * A message changes the state at once, but nobody is told while the tab is hidden: a page out of sight draws nothing,
 * and shows the newest state the moment it is looked at again.
 */
import { useSyncExternalStore } from 'react'
import { OUTCOMES, type Alert, type AlertCounts, type DecisionSummary, type Generation, type LiveMessage, type Outcome, type Stats } from './types'

export type Connection =
  | { phase: 'connecting'; again: boolean }
  | { phase: 'live' }
  | { phase: 'stale' }
  | { phase: 'waiting'; retryAt: number }

/** How many decisions the server listed of those it made, over the last seconds; null when it listed nearly all. */
export interface Sampling {
  listed: number
  made: number
}

export interface LiveState {
  connection: Connection
  stats: Stats | null
  /** When the last message came, in ms since the epoch. */
  receivedAt: number | null
  /** Snapshots so far: a new one means that the lists below were begun afresh. */
  snapshots: number
  recent: readonly DecisionSummary[]
  /** Kept apart, as declines are rare and would be pushed out of `recent` within a second. */
  byOutcome: Readonly<Record<Outcome, readonly DecisionSummary[]>>
  listings: readonly Listing[]
  sampling: Sampling | null
  alerts: AlertCounts | null
  /** The newest alert since the server's start, for a banner. */
  newestAlert: Alert | null
  /** Jobs that send synthetic transactions or have just ended, newest first. */
  generations: readonly Generation[]
}

interface Listing {
  at: number
  listed: number
  skipped: number
}

/** What the table shows at most; the server's snapshot holds as many. */
export const ROWS_MAX = 100
/** Long enough that the words do not flicker, short enough that they are about what is on the screen. */
export const SAMPLING_WINDOW_MS = 5_000
/** At the limit of what a message lists a few are skipped now and then: not worth words that come and go. */
const SKIPPED_UNSAID = 0.05

export const initialState: LiveState = {
  connection: { phase: 'connecting', again: false },
  stats: null,
  receivedAt: null,
  snapshots: 0,
  recent: [],
  byOutcome: { approve: [], review: [], decline: [] },
  listings: [],
  sampling: null,
  alerts: null,
  newestAlert: null,
  generations: [],
}

export function applyMessage(state: LiveState, message: LiveMessage, now: number): LiveState {
  const fresh = message.kind === 'snapshot'
  const kept = fresh ? initialState : state
  const listings = fresh ? [] : addListing(state.listings, message, now)
  return {
    connection: { phase: 'live' },
    stats: message.stats,
    receivedAt: now,
    snapshots: state.snapshots + (fresh ? 1 : 0),
    recent: prepend(message.decisions, kept.recent),
    byOutcome: sortIn(message.decisions, kept.byOutcome),
    listings,
    sampling: sampled(listings),
    alerts: message.alerts,
    newestAlert: message.newest_alert ?? null,
    generations: message.generations,
  }
}

/**
 * The decisions of one outcome as the server remembers them, fetched when the filter asks for them. They interleave
 * with the live rows, which leave out what was skipped.
 */
export function applyHistory(state: LiveState, outcome: Outcome, stored: readonly DecisionSummary[]): LiveState {
  const merged = [...stored, ...state.byOutcome[outcome]]
  merged.sort((a, b) => Date.parse(b.decided_at) - Date.parse(a.decided_at))
  return { ...state, byOutcome: { ...state.byOutcome, [outcome]: prepend(merged, []) } }
}

/** A transaction posted twice is answered twice but is one decision, so an id is listed once. */
function prepend(newer: readonly DecisionSummary[], older: readonly DecisionSummary[]) {
  if (newer.length === 0) return older
  const rows = new Map<string, DecisionSummary>()
  for (const row of newer) if (!rows.has(row.id)) rows.set(row.id, row)
  for (const row of older) {
    if (rows.size >= ROWS_MAX) break
    if (!rows.has(row.id)) rows.set(row.id, row)
  }
  return [...rows.values()].slice(0, ROWS_MAX)
}

function sortIn(decisions: readonly DecisionSummary[], lists: LiveState['byOutcome']): LiveState['byOutcome'] {
  const sorted = { ...lists }
  for (const outcome of OUTCOMES) {
    const newer = decisions.filter((decision) => decision.outcome === outcome)
    sorted[outcome] = prepend(newer, lists[outcome])
  }
  return sorted
}

function addListing(listings: readonly Listing[], message: LiveMessage, now: number) {
  const recent = listings.filter((listing) => listing.at > now - SAMPLING_WINDOW_MS)
  return [...recent, { at: now, listed: message.decisions.length, skipped: message.skipped }]
}

function sampled(listings: readonly Listing[]): Sampling | null {
  let listed = 0
  let skipped = 0
  for (const listing of listings) {
    listed += listing.listed
    skipped += listing.skipped
  }
  const made = listed + skipped
  return skipped <= made * SKIPPED_UNSAID ? null : { listed, made }
}

export class LiveStore {
  private state = initialState
  private readonly listeners = new Set<() => void>()

  get = () => this.state

  update(change: (state: LiveState) => LiveState) {
    this.state = change(this.state)
    if (document.visibilityState === 'visible') this.tell()
  }

  subscribe = (listener: () => void) => {
    if (this.listeners.size === 0) document.addEventListener('visibilitychange', this.tellIfSeen)
    this.listeners.add(listener)
    return () => {
      this.listeners.delete(listener)
      if (this.listeners.size === 0) document.removeEventListener('visibilitychange', this.tellIfSeen)
    }
  }

  private readonly tellIfSeen = () => {
    if (document.visibilityState === 'visible') this.tell()
  }

  private tell() {
    for (const listener of this.listeners) listener()
  }
}

export const liveStore = new LiveStore()

/** `select` must return something that the state holds, not build something new, or React would redraw for ever. */
export function useLive<T>(select: (state: LiveState) => T): T {
  return useSyncExternalStore(liveStore.subscribe, () => select(liveStore.get()))
}

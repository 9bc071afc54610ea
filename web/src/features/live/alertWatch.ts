/** Which alert the banner tells of. */
import type { LiveState } from '@/api/store'
import type { Alert } from '@/api/types'

export interface Watch {
  /** The newest alert told of, or there before the page; null until the first message. */
  seen: number | null
  shown: Alert | null
  shownAt: number
}

/** Alerts come in bursts; one that is read out takes this long. */
export const BANNER_EVERY_MS = 5_000

export const unwatched: Watch = { seen: null, shown: null, shownAt: -Infinity }

/** What was there when the page opened is no news. Of alerts that come too soon the newest is told of later. */
export function watch(before: Watch, { stats, newestAlert }: Pick<LiveState, 'stats' | 'newestAlert'>, now: number): Watch {
  if (!stats) return before
  if (before.seen === null) return { ...before, seen: newestAlert?.id ?? -1 }
  if (!newestAlert || newestAlert.id <= before.seen) return before
  if (now - before.shownAt < BANNER_EVERY_MS) return before
  return { seen: newestAlert.id, shown: newestAlert, shownAt: now }
}

export function dismissed(before: Watch): Watch {
  return { ...before, shown: null }
}

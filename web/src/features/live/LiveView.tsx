import { lazy, Suspense, useState } from 'react'
import { useLive } from '@/api/store'
import type { Activity, Breakdown } from '@/api/types'
import { usePlace } from '@/components/ui/location'
import { share } from '@/components/ui/numbers'
import { Unanswered } from '@/components/ui/Unanswered'
import { useNow } from '@/components/ui/useNow'
import { AlertBanner } from './AlertBanner'
import { Beside } from './Beside'
import { Breakdowns } from './Breakdowns'
import { Charts } from './Charts'
import { DecisionsPanel } from './DecisionsPanel'
import './live.css'
import { boundsOf, readRange, readSynthetic, type Range } from './range'
import { RangeBar } from './RangeBar'
import { RangeCharts } from './RangeCharts'
import { RangeTiles } from './RangeTiles'
import { Tiles } from './Tiles'
import { useActivity } from './useActivity'
import { Week } from './Week'

/** Its outlines are as large as all else on the page. */
const WorldMap = lazy(() => import('./WorldMap'))

export function LiveView() {
  const { query } = usePlace()
  const range = readRange(query)
  const [paused, setPaused] = useState(false)
  const [asked, again] = useActivity(range, readSynthetic(query), paused)
  const activity = asked.phase === 'ready' ? asked.value : null
  const live = range.name === 'live'
  return (
    <div className="live">
      <h1 className="unseen">Live decisions</h1>
      <RangeBar range={range} shown={useShown(range, activity)} said={asked.phase === 'ready' ? wordsOf(asked.value, asked.failure !== null) : ''} />
      <Tiles />
      <RangeTiles activity={activity} />
      {asked.phase === 'failed' && <Unanswered title="The range did not come" error={asked.error} again={again} />}
      {live ? <Charts paused={paused} /> : <Past activity={activity} />}
      <DecisionsPanel paused={paused} onPause={setPaused} past={!live} />
      <AlertBanner />
      <Week week={activity?.week ?? NO_WEEK} />
      <Places breakdowns={activity?.breakdowns ?? []} />
      <Beside range={range} paused={paused} />
      {activity ? <Breakdowns breakdowns={activity.breakdowns} /> : <div className="breakdowns-waiting" aria-busy="true" />}
    </div>
  )
}

/** Where a detector has no country there is no map, and its place is taken by what follows. */
function Places({ breakdowns }: { breakdowns: readonly Breakdown[] }) {
  const countries = breakdowns.find(({ kind }) => kind === 'country')
  if (!countries) return null
  return (
    <Suspense fallback={<div className="panel world-panel" aria-busy="true" />}>
      <WorldMap breakdown={countries} />
    </Suspense>
  )
}

function Past({ activity }: { activity: Activity | null }) {
  const currency = useLive((state) => state.stats?.currency) ?? ''
  if (!activity) return <div className="range-waiting" aria-busy="true" />
  return <RangeCharts activity={activity} currency={currency} />
}

/** What keeps the figures from being those of all decisions. */
function wordsOf({ as_of, last, total }: Activity, failed: boolean) {
  if (failed) return 'The newest answer did not come: these figures are old.'
  if (as_of < last) return `History is still being read: ${share(as_of + 1, last + 1)}. Figures grow until then.`
  return total.decisions === 0 ? 'Nothing was decided in this range.' : ''
}

/** What the fields say: of a range that ends now, its ends when it was chosen. */
function useShown(range: Range, activity: Activity | null) {
  const now = useNow(false)
  const bounds = boundsOf(range, now)
  const first = activity?.first ? Date.parse(activity.first) : bounds.to - 3_600_000
  return { from: bounds.from ?? first, to: bounds.to }
}

const NO_WEEK = Array.from({ length: 168 }, () => ({ decisions: 0, alerts: 0 }))

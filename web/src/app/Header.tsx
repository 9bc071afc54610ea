import { useAccess } from '@/api/access'
import { useLive } from '@/api/store'
import type { Stats } from '@/api/types'
import { WhoAmI } from '@/features/access/WhoAmI'
import { Link } from '@/components/ui/Link'
import { count, countShort, NONE, rate } from '@/components/ui/numbers'
import { Segments } from '@/components/ui/Segments'
import { Skeleton } from '@/components/ui/Skeleton'
import { dateTime } from '@/components/ui/times'
import { ConnectionPill } from './ConnectionPill'
import { DarkIcon, FlagIcon, LightIcon, SystemIcon } from './icons'
import { pages, type Route } from './routes'
import { setTheme, useTheme } from './theme'

const themes = [
  { value: 'system', text: 'As the system', mark: <SystemIcon />, hideText: true },
  { value: 'light', text: 'Light', mark: <LightIcon />, hideText: true },
  { value: 'dark', text: 'Dark', mark: <DarkIcon />, hideText: true },
] as const

export function Header({ view }: { view: Route['view'] }) {
  const stats = useLive((state) => state.stats)
  const watchesOver = useAccess().me?.roles.includes('admin') ?? false
  const simulated = stats?.source.kind === 'simulator'
  return (
    <header className="top">
      <Link href="/" className="wordmark" aria-label="redflag, live page">
        <FlagIcon />
        redflag
      </Link>
      <nav className="top-nav" aria-label="Pages">
        {pages.filter(({ view: page }) => page !== 'audit' || watchesOver).map((page) => (
          <Link key={page.view} href={page.path} aria-current={isAt(view, page.view) ? 'page' : undefined}>
            {page.name}
            {page.view === 'alerts' && <WaitingAlerts />}
          </Link>
        ))}
      </nav>
      <dl className="running">
        <Running name="detector" value={stats?.detector} />
        <Running name="model" value={stats && (stats.model ?? 'none, rules only')} />
        <Running name="source" value={stats && describeSource(stats.source)} />
        <Running name={simulated ? 'simulated time' : 'stream time'} value={stats && describeTime(stats)} />
      </dl>
      <div className="top-side">
        <ConnectionPill />
        <WhoAmI />
        <Segments label="Colours" options={themes} value={useTheme()} onChange={setTheme} />
      </div>
    </header>
  )
}

/** An alert belongs to the alerts, a list to the rules. */
function isAt(view: Route['view'], page: Route['view']) {
  return view === page || (view === 'alert' && page === 'alerts') || (view === 'list' && page === 'rules')
}

function WaitingAlerts() {
  const waiting = useLive((state) => state.alerts && state.alerts.open + state.alerts.assigned)
  if (!waiting) return null
  return (
    <span className="nav-count" aria-label={`${count(waiting)} wait`}>
      {countShort(waiting)}
    </span>
  )
}

function Running({ name, value }: { name: string; value: string | null | undefined }) {
  return (
    <div data-running={name}>
      <dt>{name}</dt>
      <dd>{value ?? <Skeleton width="9ch" />}</dd>
    </div>
  )
}

function describeSource({ kind, rate_per_second }: Stats['source']) {
  if (kind === 'http') return 'HTTP'
  if (kind === 'kafka') return 'Kafka'
  return rate_per_second == null ? 'simulator' : `simulator, ${rate(rate_per_second).replace('.0', '')}/s`
}

/** How much faster than a clock the time runs belongs beside it, or its date is a riddle. */
function describeTime({ stream_time, source: { time_factor } }: Stats) {
  if (!stream_time) return NONE
  const factor = time_factor == null ? '' : `, ×${time_factor < 10 ? time_factor.toFixed(1) : count(time_factor)}`
  return `${dateTime(stream_time)} UTC${factor}`
}

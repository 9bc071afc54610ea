import { useLive } from '@/api/store'
import type { Stats } from '@/api/types'
import { Link } from '@/components/ui/Link'
import { count, rate } from '@/components/ui/numbers'
import { Segments } from '@/components/ui/Segments'
import { Skeleton } from '@/components/ui/Skeleton'
import { dateTime } from '@/components/ui/times'
import { ConnectionPill } from './ConnectionPill'
import { DarkIcon, FlagIcon, LightIcon, SystemIcon } from './icons'
import { setTheme, useTheme } from './theme'

const themes = [
  { value: 'system', text: 'As the system', mark: <SystemIcon />, hideText: true },
  { value: 'light', text: 'Light', mark: <LightIcon />, hideText: true },
  { value: 'dark', text: 'Dark', mark: <DarkIcon />, hideText: true },
] as const

export function Header() {
  const stats = useLive((state) => state.stats)
  return (
    <header className="top">
      <Link href="/" className="wordmark" aria-label="redflag, live page">
        <FlagIcon />
        redflag
      </Link>
      <dl className="running">
        <Running name="detector" value={stats?.detector} />
        <Running name="model" value={stats && (stats.model ?? 'none, rules only')} />
        <Running name="source" value={stats && describeSource(stats.source)} />
        <Running name="stream time" value={stats && (stats.stream_time ? `${dateTime(stats.stream_time)} UTC` : '–')} />
      </dl>
      <div className="top-side">
        <ConnectionPill />
        <Segments label="Colours" options={themes} value={useTheme()} onChange={setTheme} />
      </div>
    </header>
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

function describeSource({ kind, rate_per_second, time_factor }: Stats['source']) {
  if (kind === 'http') return 'HTTP'
  const asked = rate_per_second == null ? '' : ` ${rate(rate_per_second).replace('.0', '')}/s`
  const factor = time_factor == null ? '' : `, ×${count(time_factor)} real time`
  return `simulated${asked}${factor}`
}

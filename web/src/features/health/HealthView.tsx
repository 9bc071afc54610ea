import { getHealth } from '@/api/health'
import { useAsked, type Asked } from '@/api/useAsked'
import type { Health } from '@/api/types'
import { clock } from '@/components/ui/times'
import { Unanswered } from '@/components/ui/Unanswered'
import './health.css'
import { History } from './History'
import { PartCard } from './PartCard'
import { Rejections } from './Rejections'
import { StateMark } from './StateMark'
import { byUrgency, overall } from './words'

const EVERY_MS = 2_000
/** As many as a service usually has, so that nothing moves when they come. */
const PLACES = ['source', 'pipeline', 'engine', 'model', 'drift', 'store', 'disk', 'kafka', 'redis', 'traces', 'mlflow']

export function HealthView() {
  const [health, again] = useAsked('health', getHealth, EVERY_MS)
  return (
    <div className="health">
      <header className="page-head health-head">
        <h1>Health</h1>
        <p role="status">
          <Overall health={health} />
        </p>
      </header>
      {health.phase === 'ready' && health.failure && <Old at={health.at} again={again} />}
      <Parts health={health} again={again} />
      <History />
      <Rejections />
    </div>
  )
}

function Overall({ health }: { health: Asked<Health> }) {
  if (health.phase === 'loading') return <>Asking every part …</>
  if (health.phase === 'failed') return <>Not known.</>
  return (
    <>
      <StateMark state={health.value.status} /> {overall(health.value)}
    </>
  )
}

function Old({ at, again }: { at: number; again: () => void }) {
  return (
    <div className="stale-bar" role="status">
      <strong>The server does not answer.</strong> <span>What is shown is of {clock(at)} UTC.</span>
      <button type="button" className="button" onClick={again}>
        Try again
      </button>
    </div>
  )
}

function Parts({ health, again }: { health: Asked<Health>; again: () => void }) {
  if (health.phase === 'failed') {
    return (
      <div className="panel">
        <Unanswered title="The service did not say how it is" error={health.error} again={again} />
      </div>
    )
  }
  return (
    <div className="health-parts" aria-busy={health.phase === 'loading'}>
      {health.phase === 'loading'
        ? PLACES.map((name) => <div key={name} className="panel placeholder health-part" />)
        : byUrgency(health.value.parts).map((part) => <PartCard key={part.name} part={part} />)}
    </div>
  )
}

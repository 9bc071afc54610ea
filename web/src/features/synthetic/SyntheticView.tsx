import { useLive } from '@/api/store'
import { listGenerations, listGenerators } from '@/api/synthetic'
import { useAsked, type Asked } from '@/api/useAsked'
import type { GenerationList, GeneratorList } from '@/api/types'
import { Unanswered } from '@/components/ui/Unanswered'
import { Comparison } from './Comparison'
import { Generators } from './Generators'
import { Jobs } from './Jobs'
import { MakeForm } from './MakeForm'
import './synthetic.css'

/** Often enough to see a training go on. */
const EVERY_MS = 5_000

export function SyntheticView() {
  const [generators, askGenerators] = useAsked('generators', listGenerators, EVERY_MS)
  const [generations, askGenerations] = useAsked('generations', listGenerations, EVERY_MS)
  const failed = [generators, generations].some((asked) => asked.phase === 'ready' && asked.failure)
  const askAll = () => {
    askGenerators()
    askGenerations()
  }
  return (
    <div className="synthetic">
      <header className="page-head">
        <h1>Synthetic</h1>
        <p>Make transactions that nobody made, send them down the stream, and see how far they are from real ones.</p>
      </header>
      {failed && <Old again={askAll} />}
      <div className="synthetic-grid">
        <Sources generators={generators} again={askGenerators} onStarted={askGenerations} />
        <Jobs asked={generations} again={askGenerations} />
      </div>
      {generators.phase === 'ready' && <Generators list={generators.value} />}
      <Comparison marks={useMarks(generations)} />
    </div>
  )
}

function Old({ again }: { again: () => void }) {
  return (
    <div className="stale-bar" role="status">
      <strong>The server did not answer.</strong> <span>What is shown is what it said last.</span>
      <button type="button" className="button" onClick={again}>
        Try again
      </button>
    </div>
  )
}

interface SourcesProps {
  generators: Asked<GeneratorList>
  again: () => void
  onStarted: () => void
}

function Sources({ generators, again, onStarted }: SourcesProps) {
  if (generators.phase === 'loading') return <div className="panel placeholder make" aria-busy="true" />
  if (generators.phase === 'failed') {
    return (
      <div className="panel make">
        <Unanswered title="What makes transactions did not come" error={generators.error} again={again} />
      </div>
    )
  }
  return <MakeForm sources={generators.value} onStarted={onStarted} />
}

/** Marks of jobs and of what was decided last. */
function useMarks(generations: Asked<GenerationList>) {
  const recent = useLive((state) => state.recent)
  const jobs = generations.phase === 'ready' ? generations.value.items : []
  const marks = [...jobs, ...recent].flatMap(({ synthetic }) => (synthetic ? [synthetic] : []))
  return [...new Set(marks)]
}

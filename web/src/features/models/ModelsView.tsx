import { useCallback, useState } from 'react'
import { getDrift, getPerformance, listModels } from '@/api/models'
import { useAsked, type Asked } from '@/api/useAsked'
import type { ModelInfo, ModelList, Performance } from '@/api/types'
import { Notice } from '@/components/ui/Notice'
import { count, percent } from '@/components/ui/numbers'
import { Unanswered } from '@/components/ui/Unanswered'
import { Curves } from './Curves'
import { DriftPanel } from './DriftPanel'
import './models.css'
import { PromotionDialog, type Wish } from './PromotionDialog'
import { Registry } from './Registry'
import { SideBySide } from './SideBySide'
import { ThresholdPanel } from './ThresholdPanel'
import { day } from './words'

/** Who decides changes when somebody says so; figures change with every label. */
const MODELS_EVERY_MS = 10_000
const FIGURES_EVERY_MS = 60_000

export function ModelsView() {
  const [models, askModels] = useAsked('models', listModels, MODELS_EVERY_MS)
  const [performance, askPerformance] = useAsked('performance', getPerformance, FIGURES_EVERY_MS)
  const [drift, askDrift] = useAsked('drift', getDrift, FIGURES_EVERY_MS)
  const [wish, setWish] = useState<Wish | null>(null)
  const askAll = useCallback(() => {
    askModels()
    askPerformance()
    askDrift()
  }, [askModels, askPerformance, askDrift])

  return (
    <div className="models">
      <header className="page-head">
        <h1>Models</h1>
        <p>
          <Summary models={models} performance={performance} />
        </p>
      </header>
      {models.phase === 'ready' && models.failure && <Old again={askAll} />}
      {models.phase === 'failed' && <Unanswered title="The models did not come" error={models.error} again={askAll} />}
      {models.phase === 'ready' && models.value.models.length === 0 && <NoModel />}
      <div className="models-grid">
        <SideBySide models={models} performance={performance} />
        <Figures performance={performance} again={askPerformance} />
        <DriftPanel drift={drift} again={askDrift} />
        {models.phase === 'ready' && <Registry list={models.value} onWish={setWish} />}
      </div>
      {wish && models.phase === 'ready' && (
        <PromotionDialog wish={wish} models={models.value.models} onClose={() => setWish(null)} onDone={askAll} />
      )}
    </div>
  )
}

/** Who decides, who scores beside, and on what they are measured, in a sentence. */
function Summary({ models, performance }: { models: Asked<ModelList>; performance: Asked<Performance> }) {
  if (models.phase !== 'ready') return <>{models.phase === 'loading' ? 'Asking who decides …' : ''}</>
  const { models: all } = models.value
  return (
    <>
      {whoDecides(all)} {performance.phase === 'ready' && measuredOn(performance.value)}
    </>
  )
}

function whoDecides(models: readonly ModelInfo[]) {
  const champion = models.find(({ role }) => role === 'champion')
  const challengers = models.filter(({ role }) => role === 'challenger').length
  if (!champion) return 'No model decides: rules alone do.'
  if (challengers === 0) return `${champion.id} decides; no challenger scores beside it.`
  return `${champion.id} decides; ${challengers === 1 ? 'a challenger scores' : `${challengers} challengers score`} the same transactions in the shadow.`
}

function measuredOn({ transactions, frauds, from, to }: Performance) {
  if (transactions === 0) return 'No transactions yet of which is known what they were.'
  const share = percent(frauds / transactions)
  const when = from && to ? `, from ${day(from)} to ${day(to)} UTC` : ''
  return `Measured on ${count(transactions)} transactions of which is known what they were, ${count(frauds)} of them fraud (${share})${when}.`
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

function NoModel() {
  return (
    <Notice tone="plain" title="No model: rules alone decide">
      <p>
        Train one with <code>redflag train --detector … --in … --register</code> and start the service with{' '}
        <code>REDFLAG_MODEL=registry</code>. It appears here with what it learnt from, and can be made the champion.
      </p>
    </Notice>
  )
}

function Figures({ performance, again }: { performance: Asked<Performance>; again: () => void }) {
  if (performance.phase === 'loading') {
    return (
      <div className="models-figures" aria-busy="true">
        <span className="unseen" role="status">
          Loading the figures
        </span>
        <div className="panel placeholder models-tall" />
      </div>
    )
  }
  if (performance.phase === 'failed') {
    return (
      <div className="models-figures panel">
        <Unanswered title="The figures did not come" error={performance.error} again={again} />
      </div>
    )
  }
  const { value } = performance
  if (value.models.length === 0) return null
  if (value.transactions === 0 || value.models.every(({ thresholds }) => thresholds.length === 0)) return <NoLabels />
  return (
    <>
      <ThresholdPanel performance={value} />
      <Curves performance={value} />
    </>
  )
}

function NoLabels() {
  return (
    <section className="models-figures panel">
      <Notice tone="plain" title="No labels yet">
        <p>
          Models are measured on what became known. Labels come from alerts that are closed, from the page of a transaction, from{' '}
          <code>POST /v1/labels</code>, or from the topic of labels. Curves and thresholds need some of both kinds, fraud and
          genuine; synthetic transactions do not count.
        </p>
      </Notice>
    </section>
  )
}

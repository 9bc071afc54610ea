import { useEffect, useRef } from 'react'
import type { RequestError } from '@/api/client'
import { getDetector } from '@/api/inspection'
import { useLive } from '@/api/store'
import { useAsked, type Asked } from '@/api/useAsked'
import type { Decision, DetectorInfo } from '@/api/types'
import { Link } from '@/components/ui/Link'
import { Notice } from '@/components/ui/Notice'
import { Skeleton } from '@/components/ui/Skeleton'
import { Unanswered } from '@/components/ui/Unanswered'
import { AlertLink } from './AlertLink'
import { Contributions } from './Contributions'
import { DecidedBy, EventFacts, FiredRules } from './Facts'
import { FeatureTable } from './FeatureTable'
import { LabelPanel } from './LabelPanel'
import { Timeline } from './Timeline'
import './transactions.css'
import { useDecision } from './useDecision'
import { Verdict } from './Verdict'
import { WhatIfPanel } from './WhatIfPanel'

export function TransactionView({ id }: { id: string }) {
  const [loading, again] = useDecision(id)
  const [asked, askDetector] = useAsked('detector', getDetector)
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    heading.current?.focus({ preventScroll: true })
    // From the timeline of the transaction before one comes here in the middle of the page.
    scrollTo(0, 0)
  }, [id])
  // Words of the detector make rows higher: with them from the beginning nothing moves.
  const waits = loading.phase === 'loading' || (loading.phase === 'ready' && asked.phase === 'loading')

  return (
    <div className="transaction">
      <header className="transaction-head">
        <Link href="/" className="back">
          Live
        </Link>
        <h1 ref={heading} tabIndex={-1}>
          <span className="kicker">Transaction</span> {id}
        </h1>
        {loading.phase === 'ready' && loading.decision.key != null && (
          <AlertLink decision={loading.decision} entity={loading.decision.key} />
        )}
      </header>
      {waits && <LoadingDecision />}
      {loading.phase === 'failed' && <Failed id={id} error={loading.error} again={again} />}
      {loading.phase === 'ready' && asked.phase !== 'loading' && (
        <Loaded decision={loading.decision} again={again} asked={asked} askDetector={askDetector} />
      )}
    </div>
  )
}

type Answered = Exclude<Asked<DetectorInfo>, { phase: 'loading' }>

interface LoadedProps {
  decision: Decision
  again: () => void
  asked: Answered
  askDetector: () => void
}

function Loaded({ decision, again, asked, askDetector }: LoadedProps) {
  const detector = asked.phase === 'ready' ? asked.value : null
  const stated = useLive((state) => state.stats?.currency)
  const currency = detector?.currency ?? stated ?? ''
  return (
    <>
      <Verdict decision={decision} currency={currency} />
      <div className="transaction-why">
        <Contributions key={decision.id} decision={decision} />
        <div className="transaction-side">
          <LabelPanel key={decision.id} decision={decision} onLabelled={again} />
          <FiredRules decision={decision} detector={detector} />
          <DecidedBy decision={decision} />
        </div>
      </div>
      {decision.key != null && <Timeline key={decision.id} decision={decision} entity={decision.key} currency={currency} />}
      <Hypothesis decision={decision} asked={asked} again={askDetector} />
      <div className="transaction-body">
        <div className="transaction-side">
          <EventFacts decision={decision} detector={detector} />
        </div>
        <FeatureTable features={decision.features} detector={detector} />
      </div>
    </>
  )
}

/** The fields of the form are the detector's: without it there is none. */
function Hypothesis({ decision, asked, again }: { decision: Decision; asked: Answered; again: () => void }) {
  if (asked.phase === 'failed') {
    return (
      <div className="panel">
        <Unanswered title="What the detector reads did not come" error={asked.error} again={again} />
      </div>
    )
  }
  return <WhatIfPanel key={decision.id} decision={decision} detector={asked.value} />
}

function Failed({ id, error, again }: { id: string; error: RequestError; again: () => void }) {
  if (error.notFound) {
    return (
      <Notice tone="plain" title="No such transaction" actions={<Link href="/">Back to live</Link>}>
        <p>
          Nothing is stored under <code>{id}</code>. It may have been rejected, or not have arrived yet.
        </p>
      </Notice>
    )
  }
  const retry = (
    <button type="button" className="button" onClick={again}>
      Try again
    </button>
  )
  return (
    <Notice tone="error" title={error.problem.title} actions={retry}>
      <p>{error.problem.detail}</p>
    </Notice>
  )
}

function LoadingDecision() {
  return (
    <div aria-busy="true">
      <span className="unseen" role="status">
        Loading
      </span>
      <div className="panel verdict">
        {['5ch', '10ch', '8ch', '19ch', '19ch', '6ch'].map((width, i) => (
          <div key={i} className="verdict-part">
            <Skeleton width="6ch" />
            <Skeleton width={width} />
          </div>
        ))}
      </div>
      <div className="transaction-why">
        <div className="panel placeholder taller" />
        <div className="transaction-side">
          <div className="panel placeholder" />
          <div className="panel placeholder tall" />
        </div>
      </div>
      <div className="panel placeholder tall" />
    </div>
  )
}

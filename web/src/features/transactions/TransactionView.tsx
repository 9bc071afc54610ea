import { useEffect, useRef } from 'react'
import type { RequestError } from '@/api/client'
import { useLive } from '@/api/store'
import type { Decision } from '@/api/types'
import { Link } from '@/components/ui/Link'
import { Notice } from '@/components/ui/Notice'
import { Skeleton } from '@/components/ui/Skeleton'
import { Facts } from './Facts'
import { FeatureTable } from './FeatureTable'
import { LabelPanel } from './LabelPanel'
import { Reasons } from './Reasons'
import { Verdict } from './Verdict'
import { useDecision } from './useDecision'

export function TransactionView({ id }: { id: string }) {
  const [loading, again] = useDecision(id)
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => heading.current?.focus({ preventScroll: true }), [id])

  return (
    <div className="transaction">
      <header className="transaction-head">
        <Link href="/" className="back">
          Live
        </Link>
        <h1 ref={heading} tabIndex={-1}>
          <span className="kicker">Transaction</span> {id}
        </h1>
      </header>
      {loading.phase === 'loading' && <LoadingDecision />}
      {loading.phase === 'failed' && <Failed id={id} error={loading.error} again={again} />}
      {loading.phase === 'ready' && <Loaded decision={loading.decision} again={again} />}
    </div>
  )
}

function Loaded({ decision, again }: { decision: Decision; again: () => void }) {
  const currency = useLive((state) => state.stats?.currency) ?? ''
  return (
    <>
      <Verdict decision={decision} currency={currency} />
      <Reasons key={decision.id} decision={decision} />
      <div className="transaction-body">
        <div className="transaction-side">
          <LabelPanel key={decision.id} decision={decision} onLabelled={again} />
          <Facts decision={decision} />
        </div>
        <FeatureTable features={decision.features} />
      </div>
    </>
  )
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
      <div className="transaction-body">
        <div className="transaction-side">
          <div className="panel placeholder" />
          <div className="panel placeholder tall" />
        </div>
        <div className="panel placeholder taller" />
      </div>
    </div>
  )
}

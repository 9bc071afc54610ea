import { useCallback, useRef, useState } from 'react'
import { getContributions } from '@/api/inspection'
import { useAsked } from '@/api/useAsked'
import type { Contributions as Told, Decision } from '@/api/types'
import type { RequestError } from '@/api/client'
import { ChartMenu } from '@/components/charts/ChartMenu'
import { Panel } from '@/components/ui/Panel'
import { signed } from '@/components/ui/numbers'
import { barsOf, BARS_FIRST, type Bar } from './bars'
import { ReasonList } from './ReasonList'
import { SignedBars } from './SignedBars'

/** What every feature did to the score. */
export function Contributions({ decision }: { decision: Decision }) {
  const { id } = decision
  const ask = useCallback((signal: AbortSignal) => getContributions(id, signal), [id])
  const [asked, again] = useAsked(id, ask)
  if (asked.phase === 'loading') return <LoadingReasons />
  if (asked.phase === 'failed') return <StoredReasons decision={decision} error={asked.error} again={again} />
  return <Chart id={id} told={asked.value} />
}

function LoadingReasons() {
  return (
    <Panel title="Reasons" className="contributions">
      <p className="contributions-loading" role="status">
        <span className="unseen">Loading the reasons</span>
      </p>
    </Panel>
  )
}

function Chart({ id, told }: { id: string; told: Told }) {
  const [all, setAll] = useState(false)
  const picture = useRef<HTMLDivElement>(null)
  const bars = barsOf(told, all)
  const more = told.contributions.length > BARS_FIRST + 1
  const menu = <ChartMenu name={`contributions-${id}`} table={() => tableOf(told)} picture={picture} />
  return (
    <Panel title="Reasons" note="what every feature adds to the model's margin" side={menu} className="contributions">
      {bars.length > 0 && (
        <div className="contributions-picture" ref={picture}>
          <SignedBars bars={bars} said={inWords(told)} />
        </div>
      )}
      <BarTable told={told} bars={bars} />
      <div className="contributions-foot">
        <p>{sumOf(told)}</p>
        {more && (
          <button type="button" className="button small" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? `The largest ${BARS_FIRST}` : `All ${told.contributions.length} features`}
          </button>
        )}
      </div>
    </Panel>
  )
}

/** From an average transaction to this one. */
function sumOf({ base, margin, contributions }: Told) {
  if (contributions.length === 0) return 'The model says nothing about single features.'
  return (
    <>
      An average transaction starts at <b data-sum="base">{signed(base)}</b>. All of this takes it to the margin{' '}
      <b data-sum="margin">{signed(margin)}</b>: the higher, the more it looks like fraud.
    </>
  )
}

function inWords({ contributions }: Told) {
  const against = contributions.filter(({ contribution }) => contribution < 0).length
  const towards = contributions.filter(({ contribution }) => contribution > 0).length
  return `Contributions: ${towards} features speak for fraud, ${against} against it; the table after it has the numbers`
}

function BarTable({ told: { base, margin }, bars }: { told: Told; bars: readonly Bar[] }) {
  return (
    <div className="unseen">
      <table>
        <caption>Contributions from base to margin</caption>
        <thead>
          <tr>
            <th scope="col">Feature</th>
            <th scope="col">In words</th>
            <th scope="col">Contribution</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">base</th>
            <td>an average transaction</td>
            <td>{signed(base)}</td>
          </tr>
          {bars.map(({ name, text, contribution }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{text}</td>
              <td>{signed(contribution)}</td>
            </tr>
          ))}
          <tr>
            <th scope="row">margin</th>
            <td>this transaction</td>
            <td>{signed(margin)}</td>
          </tr>
        </tbody>
      </table>
    </div>
  )
}

function tableOf({ base, margin, contributions }: Told) {
  const rows = contributions.map(({ feature, value, contribution, text }) => [feature, value ?? null, contribution, text])
  return { columns: ['feature', 'value', 'contribution', 'text'], rows: [['base', null, base, ''], ...rows, ['margin', null, margin, '']] }
}

/** Where the model cannot be asked any more there is what it said then. */
function StoredReasons({ decision, error, again }: { decision: Decision; error: RequestError; again: () => void }) {
  const { reasons, outcome } = decision
  const refused = error.problem.status === 409
  return (
    <Panel title="Reasons" note="as they were stored: what spoke for fraud, and what it added to the model's margin" className="contributions">
      <p className="contributions-why" role="status">
        Not every feature can be explained: {error.message}.{' '}
        {!refused && (
          <button type="button" className="button small" onClick={again}>
            Try again
          </button>
        )}
      </p>
      {reasons.length > 0 ? <ReasonList reasons={reasons} outcome={outcome} /> : <p className="reasons-none">No reasons were stored with it.</p>}
    </Panel>
  )
}

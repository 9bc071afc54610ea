import { useCallback, useRef } from 'react'
import { getActivity } from '@/api/activity'
import { useLive } from '@/api/store'
import { useAsked } from '@/api/useAsked'
import type { Activity } from '@/api/types'
import { ChartMenu, type ChartTable } from '@/components/charts/ChartMenu'
import { amount, count, NONE, share } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { boundsOf, stepOf, type Range } from './range'
import { fraudShare } from './RangeTiles'

const EVERY_MS = 10_000

/** Of the picture, in its own units. */
const WIDTH = 500
const HEIGHT = 120
/** Shares below this are drawn as this: the axis is logarithmic. */
const SHARE_MIN = 1e-5

interface Both {
  real: Activity
  synthetic: Activity
}

/** Real transactions of the range beside synthetic ones: whatever a generator is for, these should be alike. */
export function Beside({ range, paused }: { range: Range; paused: boolean }) {
  const asked = useBoth(range, paused)
  const currency = useLive((state) => state.stats?.currency) ?? ''
  const picture = useRef<HTMLDivElement>(null)
  const both = asked.phase === 'ready' ? asked.value : null
  const side = <ChartMenu name="real-and-synthetic" table={() => tableOf(both)} picture={picture} />
  return (
    <Panel title="Real beside synthetic" note="of the range" side={side} className="both-panel">
      <div className="both">
        <table className="sheet">
          <caption className="unseen">Real and synthetic transactions of the range</caption>
          <thead>
            <tr>
              <td />
              <th scope="col" data-kind="number">
                <Line kind="real" /> Real
              </th>
              <th scope="col" data-kind="number">
                <Line kind="synthetic" /> Synthetic
              </th>
            </tr>
          </thead>
          <tbody>
            {figures.map(({ name, value }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td data-kind="number">{both ? value(both.real, currency) : NONE}</td>
                <td data-kind="number">{both ? value(both.synthetic, currency) : NONE}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <div ref={picture} className="both-scores">
          <Scores both={both} />
        </div>
      </div>
      <p className="world-words">{asked.phase === 'failed' ? `It did not come: ${asked.error.message}` : wordsOf(both)}</p>
    </Panel>
  )
}

function useBoth(range: Range, paused: boolean) {
  const { name } = range
  const from = range.name === 'between' ? range.from : 0
  const to = range.name === 'between' ? range.to : 0
  const ask = useCallback(
    async (signal: AbortSignal): Promise<Both> => {
      const now = Date.now()
      const question = { ...boundsOf(name === 'between' ? { name, from, to } : { name }, now), step: (first: number, last: number) => stepOf(first, last, now) }
      const [real, synthetic] = await Promise.all([false, true].map((synthetic) => getActivity({ ...question, synthetic }, signal)))
      if (!real || !synthetic) throw new Error('two questions have two answers')
      return { real, synthetic }
    },
    [name, from, to],
  )
  const [asked] = useAsked(`${name} ${from} ${to}`, ask, paused ? undefined : EVERY_MS)
  return asked
}

const figures: readonly { name: string; value: (of: Activity, currency: string) => string }[] = [
  { name: 'Transactions', value: ({ total }) => count(total.decisions) },
  { name: 'Alert share', value: ({ total }) => (total.decisions === 0 ? NONE : share(total.in_review + total.declined, total.decisions)) },
  { name: 'Fraud share', value: ({ total }) => fraudShare(total) },
  {
    name: 'Mean amount',
    value: ({ total }, currency) => (total.decisions === 0 ? NONE : `${amount(total.amount / total.decisions, currency)} ${currency}`),
  },
]

/** Scores of both over one another, as shares, so that the fewer are as high as the more. */
function Scores({ both }: { both: Both | null }) {
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT + 18}`} role="img" aria-label="Scores of real and of synthetic transactions, as shares on a log scale">
      <line x1={0} x2={WIDTH} y1={HEIGHT} y2={HEIGHT} className="both-axis" />
      {[0, 0.25, 0.5, 0.75, 1].map((mark) => (
        <text key={mark} x={mark * WIDTH} y={HEIGHT + 14} textAnchor={mark === 0 ? 'start' : mark === 1 ? 'end' : 'middle'}>
          {mark}
        </text>
      ))}
      {both && <polyline className="both-real" points={pointsOf(both.real)} />}
      {both && <polyline className="both-synthetic" points={pointsOf(both.synthetic)} />}
    </svg>
  )
}

function pointsOf({ score_histogram: bins }: Activity) {
  const all = bins.reduce((sum, n) => sum + n, 0)
  if (all === 0) return ''
  const points = bins.flatMap((n, i) => {
    const y = HEIGHT * (Math.log(Math.max(n / all, SHARE_MIN)) / Math.log(SHARE_MIN))
    return [`${(i / bins.length) * WIDTH},${y.toFixed(1)}`, `${((i + 1) / bins.length) * WIDTH},${y.toFixed(1)}`]
  })
  return points.join(' ')
}

function Line({ kind }: { kind: 'real' | 'synthetic' }) {
  return (
    <svg viewBox="0 0 24 8" className="both-line" aria-hidden="true">
      <polyline className={`both-${kind}`} points="0,4 24,4" />
    </svg>
  )
}

function wordsOf(both: Both | null) {
  if (!both) return 'Asking for both …'
  const none = [both.real.total.decisions === 0 && 'real', both.synthetic.total.decisions === 0 && 'synthetic'].filter(Boolean)
  if (none.length === 0) return 'Scores as shares of each, on a log scale.'
  return `There are no ${none.join(' and no ')} transactions in the range.`
}

function tableOf(both: Both | null): ChartTable {
  const bins = both?.real.score_histogram ?? []
  const rows = bins.map((n, i) => [(i / bins.length).toFixed(2), ((i + 1) / bins.length).toFixed(2), n, both?.synthetic.score_histogram[i] ?? 0])
  return { columns: ['score_from', 'score_to', 'real', 'synthetic'], rows }
}

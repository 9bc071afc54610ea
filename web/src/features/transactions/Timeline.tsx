import { useCallback, useState } from 'react'
import { listOfKey } from '@/api/inspection'
import { useAsked, type Asked } from '@/api/useAsked'
import type { Decision, DecisionPage, DecisionSummary } from '@/api/types'
import { Link } from '@/components/ui/Link'
import { amount, count, countShort, score } from '@/components/ui/numbers'
import { OutcomeMark, outcomeWords } from '@/components/ui/OutcomeBadge'
import { Panel } from '@/components/ui/Panel'
import { dateTime } from '@/components/ui/times'
import { Unanswered } from '@/components/ui/Unanswered'
import { inOrder, marksOf, moved, placeIn, scaled, stretchAround, topOf, type Stretch } from './around'

/** Points that are asked for at once: more would stand on one another. */
const POINTS_MAX = 200

interface Props {
  decision: Decision
  entity: string
  currency: string
}

/** What the entity did before and after. */
export function Timeline({ decision, entity, currency }: Props) {
  const [stretch, setStretch] = useState(() => stretchAround(decision.event_time))
  const { from, to } = stretch
  const ask = useCallback((signal: AbortSignal) => listOfKey(entity, from, to, POINTS_MAX, signal), [entity, from, to])
  const [asked, again] = useAsked(`${entity} ${from} ${to}`, ask)
  const side = <Moves stretch={stretch} onMove={setStretch} moment={decision.event_time} />
  return (
    <Panel title={`Around it: ${entity}`} note={noteOf(asked, stretch)} side={side} className="timeline">
      {asked.phase === 'failed' ? (
        <Unanswered title="The timeline did not come" error={asked.error} again={again} />
      ) : (
        <Strip asked={asked} decision={decision} stretch={stretch} currency={currency} />
      )}
    </Panel>
  )
}

function noteOf(asked: Asked<DecisionPage>, { from, to }: Stretch) {
  const when = `${dateTime(from).slice(0, 16)} to ${dateTime(to).slice(0, 16)} UTC`
  if (asked.phase !== 'ready') return when
  const { items, next_cursor } = asked.value
  const how = next_cursor == null ? count(items.length) : `the newest ${count(items.length)}`
  return `${how} ${items.length === 1 ? 'transaction' : 'transactions'}, ${when}`
}

interface MovesProps {
  stretch: Stretch
  moment: string
  onMove: (to: Stretch) => void
}

function Moves({ stretch, moment, onMove }: MovesProps) {
  const moves = [
    { text: 'Earlier', to: moved(stretch, -1) },
    { text: 'Later', to: moved(stretch, 1) },
    { text: 'Wider', to: scaled(stretch, 2) },
    { text: 'Narrower', to: scaled(stretch, 0.5) },
    { text: 'Back', to: stretchAround(moment) },
  ]
  return (
    <div className="timeline-moves" role="group" aria-label="Move the timeline">
      {moves.map(({ text, to }) => (
        <button key={text} type="button" className="button small" onClick={() => onMove(to)}>
          {text}
        </button>
      ))}
    </div>
  )
}

interface StripProps {
  asked: Asked<DecisionPage>
  decision: Decision
  stretch: Stretch
  currency: string
}

/** Amounts over time, each a link to its transaction. */
function Strip({ asked, decision, stretch, currency }: StripProps) {
  const loading = asked.phase !== 'ready'
  const points = inOrder(loading ? [] : asked.value.items, decision, stretch)
  const top = topOf(points)
  return (
    <div className="timeline-strip" aria-busy={loading}>
      <div className="timeline-plot">
        <span className="timeline-top" aria-hidden="true">
          {countShort(top)} {currency}
        </span>
        <div className="timeline-room">
          <Marks stretch={stretch} />
          <ol aria-label="Transactions in their order of time">
            {points.map((point) => (
              <Point key={point.id} point={point} here={point.id === decision.id} place={placeIn(stretch, top, point)} currency={currency} />
            ))}
          </ol>
        </div>
      </div>
      <p className="timeline-said" role="status">
        {loading ? 'Loading …' : points.length === 0 && 'Nothing in this time. Look wider, or go back.'}
      </p>
      <Key />
    </div>
  )
}

/** As many as a phone has room for. */
const MARKS_MAX = 5

function Marks({ stretch }: { stretch: Stretch }) {
  const { from, to } = stretch
  return marksOf(stretch, MARKS_MAX).map(({ at, text }) => (
    <span key={at} className="timeline-mark" style={{ left: percent((at - from) / (to - from)) }} aria-hidden="true">
      {text}
    </span>
  ))
}

interface PointProps {
  point: DecisionSummary
  here: boolean
  place: { x: number; y: number }
  currency: string
}

function Point({ point, here, place, currency }: PointProps) {
  const said = `${dateTime(point.event_time)} UTC, ${amount(point.amount, currency)} ${currency}, ${outcomeWords[point.outcome]}, score ${score(point.score)}`
  return (
    <li style={{ left: percent(place.x), bottom: percent(place.y) }}>
      <Link
        href={`/transactions/${encodeURIComponent(point.id)}`}
        className="timeline-point"
        title={said}
        aria-label={`${point.id}: ${said}`}
        aria-current={here ? 'page' : undefined}
      >
        <OutcomeMark outcome={point.outcome} />
      </Link>
    </li>
  )
}

function Key() {
  return (
    <p className="timeline-key" aria-hidden="true">
      {(['approve', 'review', 'decline'] as const).map((outcome) => (
        <span key={outcome}>
          <OutcomeMark outcome={outcome} /> {outcomeWords[outcome]}
        </span>
      ))}
      <span>
        <i className="timeline-ring" /> this one
      </span>
    </p>
  )
}

function percent(part: number) {
  return `${part * 100}%`
}

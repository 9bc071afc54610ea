import { useWidth } from '@/components/charts/useWidth'
import { signed } from '@/components/ui/numbers'
import { fitted, lengthOf, reachOf, type Bar, type Reach } from './bars'

/** Below this, words stand over their bar instead of beside it. */
const NARROW = 620
const VALUE_WIDTH = 46
/** What a letter takes on average, in the two sizes that are used. */
const [CODE_LETTER, WORD_LETTER] = [7.3, 5.8]

interface Layout {
  width: number
  /** Height of a row. */
  row: number
  words: number
  /** Where the bars have their room. */
  left: number
  room: number
  /** Of the bar in its row. */
  top: number
}

/** Bars to the left of zero speak against fraud, to the right for it. An SVG, so that it can be saved as a picture. */
export function SignedBars({ bars, said }: { bars: readonly Bar[]; said: string }) {
  const [host, width] = useWidth<HTMLDivElement>(820)
  const layout = layoutFor(width)
  const reach = reachOf(bars)
  const height = HEAD + bars.length * layout.row + 4
  const zero = layout.left + reach.zero * layout.room
  return (
    <div ref={host} className="signed-bars">
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={said}>
        <Ends zero={zero} layout={layout} />
        {bars.map((bar, i) => (
          <Row key={bar.name} bar={bar} at={HEAD + i * layout.row} layout={layout} reach={reach} />
        ))}
      </svg>
    </div>
  )
}

/** Room for the words over the bars. */
const HEAD = 24

function layoutFor(width: number): Layout {
  if (width < NARROW) return { width, row: 46, words: width - VALUE_WIDTH - 8, left: 0, room: width, top: 34 }
  const words = Math.round(width * 0.5)
  return { width, row: 35, words: words - 12, left: words + VALUE_WIDTH, room: width - words - 2 * VALUE_WIDTH, top: 10 }
}

/** What the sides mean: beside zero, or in the corners where words stand over the bars. */
function Ends({ zero, layout: { width, left } }: { zero: number; layout: Layout }) {
  const stacked = left === 0
  return (
    <>
      <text className="signed-end" x={stacked ? 0 : zero - 8} y={13} textAnchor={stacked ? 'start' : 'end'}>
        ← against fraud
      </text>
      <text className="signed-end" x={stacked ? width : zero + 8} y={13} textAnchor={stacked ? 'end' : 'start'}>
        for fraud →
      </text>
    </>
  )
}

interface RowProps {
  bar: Bar
  at: number
  layout: Layout
  reach: Reach
}

function Row({ bar, at, layout, reach }: RowProps) {
  const side = bar.contribution < 0 ? 'against' : 'for'
  const zero = layout.left + reach.zero * layout.room
  const long = Math.max(1, lengthOf(bar, reach) * layout.room)
  const x = side === 'against' ? zero - long : zero
  const stacked = layout.left === 0
  return (
    <g className="signed-row" data-side={side}>
      <title>{`${bar.name}: ${bar.text}, ${signed(bar.contribution)}`}</title>
      <rect className="signed-ground" x={0} y={at} width={layout.width} height={layout.row} />
      <text className="signed-name" x={0} y={at + 14}>
        {fitted(bar.name, layout.words, CODE_LETTER)}
      </text>
      <text className="signed-words" x={0} y={at + 28}>
        {fitted(bar.text, layout.words, WORD_LETTER)}
      </text>
      <rect className="signed-bar" x={x} y={at + layout.top} width={long} height={stacked ? 8 : 14} />
      <line className="signed-zero" x1={zero} x2={zero} y1={stacked ? at + layout.top - 2 : at} y2={at + (stacked ? layout.top + 10 : layout.row)} />
      <Value bar={bar} at={at} x={x} long={long} layout={layout} />
    </g>
  )
}

/** Beside the end of its bar; where words stand over bars, at the right of the words. */
function Value({ bar, at, x, long, layout }: { bar: Bar; at: number; x: number; long: number; layout: Layout }) {
  const text = signed(bar.contribution)
  if (layout.left === 0) {
    return (
      <text className="signed-value" x={layout.width} y={at + 14} textAnchor="end">
        {text}
      </text>
    )
  }
  const against = bar.contribution < 0
  return (
    <text className="signed-value" x={against ? x - 5 : x + long + 5} y={at + 21} textAnchor={against ? 'end' : 'start'}>
      {text}
    </text>
  )
}

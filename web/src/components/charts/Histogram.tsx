import { useMemo, useState } from 'react'
import uPlot from 'uplot'
import { countShort, count } from '@/components/ui/numbers'
import { axis } from './axes'
import { Legend } from './Legend'
import { color, type Token } from './palette'
import { usePlot, type PlotOptions } from './usePlot'

interface Props {
  label: string
  name: string
  token: Token
  /** Counts of equal bins over 0..1. */
  bins: readonly number[]
}

/** Half of one: a bar of a single decision then still has a height on the logarithmic axis. */
const FLOOR = 0.5

export function Histogram({ label, name, token, bins }: Props) {
  const [pointed, setPointed] = useState<number | null>(null)
  const options = useMemo(() => plotOptions(token, setPointed), [token])
  const data = useMemo(() => binned(bins), [bins])
  const host = usePlot(options, data)

  const total = bins.reduce((sum, n) => sum + n, 0)
  const value = pointed === null ? count(total) : count(bins[pointed] ?? 0)
  const at = pointed === null ? '' : `${edge(pointed, bins)}–${edge(pointed + 1, bins)}`
  return (
    <div className="chart">
      <Legend items={[{ name, token, value }]} at={at} />
      <div ref={host} className="plot" role="img" aria-label={`${label}: ${inWords(bins, total)}`} />
    </div>
  )
}

function plotOptions(token: Token, point: (index: number | null) => void): PlotOptions {
  const ink = () => color(token)
  return {
    padding: [6, 12, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: false, range: () => [0, 1] },
      // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- 3 is logarithmic; uPlot's const enum is gone with the types
      y: { distr: 3, range: (_, __, max) => [FLOOR, decadeAbove(max)] },
    },
    axes: [
      axis({ size: 20, gap: 4, grid: { show: false }, splits: () => [0, 0.25, 0.5, 0.75, 1], values: (_, at) => at.map(String) }),
      axis({ size: 44, splits: (plot) => decades(plot.scales.y?.max ?? 1), values: (_, at) => at.map(countShort), filter: (_, at) => at }),
    ],
    series: [{}, { width: 0, fill: ink, points: { show: false }, paths: uPlot.paths.bars?.({ size: [1, 14], gap: 1 }) }],
    hooks: { setCursor: [(plot) => point(plot.cursor.idx ?? null)] },
  }
}

/** An empty bin has no bar; on a logarithmic axis zero has no place. */
function binned(bins: readonly number[]): uPlot.AlignedData {
  return [bins.map((_, i) => (i + 0.5) / bins.length), bins.map((n) => (n > 0 ? n : null))]
}

function decadeAbove(value: number) {
  return 10 ** Math.max(1, Math.ceil(Math.log10(Math.max(1, value))))
}

/** Every power of ten; of a long axis every second one. */
function decades(max: number) {
  const last = Math.round(Math.log10(max))
  const step = last > 4 ? 2 : 1
  return Array.from({ length: Math.floor(last / step) + 1 }, (_, i) => 10 ** (i * step))
}

const edge = (index: number, bins: readonly number[]) => (index / bins.length).toFixed(2)

function inWords(bins: readonly number[], total: number) {
  const high = bins.slice(Math.floor(bins.length / 2)).reduce((sum, n) => sum + n, 0)
  return `${count(total)} scored, ${count(high)} of them at 0.5 or above`
}

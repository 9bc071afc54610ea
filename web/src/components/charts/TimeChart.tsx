import { useMemo, useState } from 'react'
import uPlot from 'uplot'
import { clock } from '@/components/ui/times'
import { axis, ceilingAbove } from './axes'
import { Legend } from './Legend'
import { color, type Token } from './palette'
import { usePlot, type PlotOptions } from './usePlot'

export interface TimeSeries {
  name: string
  token: Token
  shape: 'area' | 'line' | 'bars'
}

/** What a chart is, apart from its data. Kept outside of components, since a new one builds the chart anew. */
export interface TimeChartSpec {
  label: string
  series: readonly TimeSeries[]
  format: (value: number) => string
  /** Shorter than `format`: the marks of the axis are round. */
  mark: (value: number) => string
  /** Of two charts under each other the lower one says the times for both. */
  sayTimes: boolean
  window_s: number
  /** The least that the top of the scale stands for, so that noise near zero does not look like mountains. */
  top_min: number
}

export interface TimeData {
  /** Seconds since the epoch, oldest first. */
  at: readonly number[]
  /** One list per series: what is said in the legend. */
  values: readonly (readonly (number | null)[])[]
  /** Where the series are drawn, if not at their values: stacked on one another. */
  drawn?: readonly (readonly (number | null)[])[]
}

export function TimeChart({ spec, data }: { spec: TimeChartSpec; data: TimeData }) {
  const [pointed, setPointed] = useState<number | null>(null)
  const options = useMemo(() => plotOptions(spec, setPointed), [spec])
  const plotted = useMemo(() => [data.at, ...(data.drawn ?? data.values)] as unknown as uPlot.AlignedData, [data])
  const host = usePlot(options, plotted)

  const index = pointed ?? data.at.length - 1
  const at = data.at[index]
  const items = spec.series.map(({ name, token }, i) => {
    const value = data.values[i]?.[index]
    return { name, token, value: value == null ? '–' : spec.format(value) }
  })
  const said = items.map(({ name, value }) => `${name} ${value}`).join(', ')
  return (
    <div className="chart">
      <Legend items={items} at={pointed !== null && at !== undefined ? `${clock(at * 1_000)} UTC` : ''} />
      <div ref={host} className="plot" role="img" aria-label={`${spec.label}: now ${said}`} />
    </div>
  )
}

function plotOptions(spec: TimeChartSpec, point: (index: number | null) => void): PlotOptions {
  return {
    padding: [6, 14, spec.sayTimes ? 0 : 4, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false },
      points: { size: 6 },
      sync: { key: 'time', scales: ['x', null] },
    },
    scales: {
      x: { time: false, range: (plot) => timeRange(plot, spec.window_s) },
      y: { range: (_, __, max) => [0, ceilingAbove(Math.max(max, spec.top_min / 1.1))] },
    },
    axes: [
      axis({ show: spec.sayTimes, size: 20, gap: 4, grid: { show: false }, splits: minutes, values: ago }),
      axis({ size: 44, splits: (_, __, min, max) => [min, max / 2, max], values: (_, at) => at.map(spec.mark) }),
    ],
    series: [{}, ...spec.series.map(plotSeries)],
    hooks: { setCursor: [(plot) => point(plot.cursor.idx ?? null)] },
  }
}

function plotSeries({ token, shape }: TimeSeries): uPlot.Series {
  const ink = () => color(token)
  const faint = () => color(`${token}-fill`)
  const base: uPlot.Series = { stroke: ink, points: { show: false } }
  if (shape === 'area') return { ...base, width: 1.5, fill: faint }
  if (shape === 'line') return { ...base, width: 1.5 }
  return { ...base, width: 0, fill: ink, paths: uPlot.paths.bars?.({ size: [0.75, 12], align: 1 }) }
}

function timeRange(plot: uPlot, window_s: number): uPlot.Range.MinMax {
  const end = plot.data[0].at(-1) ?? window_s
  return [end - window_s, end]
}

function minutes(plot: uPlot) {
  const { min = 0, max = 0 } = plot.scales.x ?? {}
  const marks: number[] = []
  for (let at = max; at > min; at -= 60) marks.unshift(at)
  return marks
}

function ago(plot: uPlot, marks: number[]) {
  const end = plot.scales.x?.max ?? 0
  return marks.map((at) => (at === end ? 'now' : `−${Math.round((end - at) / 60)} min`))
}

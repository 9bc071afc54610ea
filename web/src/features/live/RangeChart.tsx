import { useMemo, useState } from 'react'
import uPlot from 'uplot'
import { axis, ceilingAbove } from '@/components/charts/axes'
import { Legend } from '@/components/charts/Legend'
import { color } from '@/components/charts/palette'
import type { TimeData, TimeSeries } from '@/components/charts/TimeChart'
import { usePlot, type PlotOptions } from '@/components/charts/usePlot'
import { minuteText, type Zone } from './zone'

export interface RangeChartSpec {
  label: string
  series: readonly TimeSeries[]
  format: (value: number) => string
  mark: (value: number) => string
}

interface Props {
  spec: RangeChartSpec
  data: TimeData
  /** Length of a step. */
  step_s: number
  zone: Zone
  /** A stretch of time was chosen by dragging: seconds since the epoch. The same function each time, or the chart is built anew. */
  onZoom: (from: number, to: number) => void
}

/** Steps of a range over the time of the calendar. */
export function RangeChart({ spec, data, step_s, zone, onZoom }: Props) {
  const [pointed, setPointed] = useState<number | null>(null)
  const options = useMemo(
    () => plotOptions(spec, step_s, zone, setPointed, onZoom),
    [spec, step_s, zone, onZoom],
  )
  const plotted = useMemo(() => [data.at, ...(data.drawn ?? data.values)] as unknown as uPlot.AlignedData, [data])
  const host = usePlot(options, plotted)
  const at = pointed === null ? undefined : data.at[pointed]
  const items = spec.series.map(({ name, token }, i) => ({ name, token, value: spec.format(valueAt(data, i, pointed)) }))
  const said = items.map(({ name, value }) => `${name} ${value}`).join(', ')
  return (
    <div className="chart">
      <Legend items={items} at={at === undefined ? '' : `${minuteText(at * 1_000, zone)}${zone === 'utc' ? ' UTC' : ''}`} />
      <div ref={host} className="plot range-plot" role="img" aria-label={`${spec.label}: in all ${said}`} />
    </div>
  )
}

/** Of the step pointed at; of all steps where none is. */
function valueAt({ values }: TimeData, series: number, index: number | null) {
  const list = values[series] ?? []
  return index === null ? list.reduce<number>((sum, value) => sum + (value ?? 0), 0) : (list[index] ?? 0)
}

function plotOptions(
  spec: RangeChartSpec,
  step_s: number,
  zone: Zone,
  point: (index: number | null) => void,
  zoom: (from: number, to: number) => void,
): PlotOptions {
  return {
    padding: [6, 14, 0, 0],
    legend: { show: false },
    tzDate: (at) => (zone === 'utc' ? uPlot.tzDate(new Date(at * 1_000), 'Etc/UTC') : new Date(at * 1_000)),
    cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { size: 6 }, sync: { key: 'range', scales: ['x', null] } },
    scales: {
      x: { time: true, range: (plot) => [plot.data[0][0] ?? 0, (plot.data[0].at(-1) ?? 0) + step_s] },
      y: { range: (_, __, max) => [0, ceilingAbove(max)] },
    },
    axes: [
      axis({ size: 34, gap: 4, grid: { show: false }, values: TIME_MARKS }),
      axis({ size: 44, splits: (_, __, min, max) => [min, max / 2, max], values: (_, at) => at.map(spec.mark) }),
    ],
    series: [{}, ...spec.series.map(bars)],
    hooks: { setCursor: [(plot) => point(plot.cursor.idx ?? null)], setSelect: [(plot) => chosen(plot, step_s, zoom)] },
  }
}

function bars({ token }: TimeSeries): uPlot.Series {
  const ink = () => color(token)
  return { stroke: ink, width: 0, fill: ink, points: { show: false }, paths: uPlot.paths.bars?.({ size: [0.8, 40], align: 1 }) }
}

/** Whole steps; a click is not a choice. */
function chosen(plot: uPlot, step_s: number, zoom: (from: number, to: number) => void) {
  const { left, width } = plot.select
  if (width < 4) return
  const from = Math.floor(plot.posToVal(left, 'x') / step_s) * step_s
  const to = Math.ceil(plot.posToVal(left + width, 'x') / step_s) * step_s
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
  zoom(from, to)
}

/** By the distance of the marks, in seconds: how they are written, and what is added below where the day changes. */
const TIME_MARKS: uPlot.Axis.Values = [
  [86_400 * 28, '{YYYY}-{MM}', null, null, null, null, null, null, 1],
  [86_400, '{MM}-{DD}', '\n{YYYY}', null, null, null, null, null, 1],
  [60, '{HH}:{mm}', '\n{YYYY}-{MM}-{DD}', null, '\n{MM}-{DD}', null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', '\n{YYYY}-{MM}-{DD}', null, '\n{MM}-{DD}', null, null, null, 1],
]

import { useMemo, useRef, useState } from 'react'
import type uPlot from 'uplot'
import { axis } from './axes'
import { ChartMenu, type ChartTable } from './ChartMenu'
import { align, nearest, scaleOf, type AxisSpec, type Curve, type CurvePoint, type Scale } from './curves'
import './curves.css'
import { Legend } from './Legend'
import { color, type Token } from './palette'
import { usePlot, type PlotOptions } from './usePlot'

/** What a chart of curves is, apart from its data. Kept outside of components or memoized: a new one builds it anew. */
export interface CurveSpec {
  /** Names its files. */
  name: string
  label: string
  x: AxisSpec
  y: AxisSpec
  /** A thin line to compare with: chance, or what would be perfect. */
  reference?: readonly CurvePoint[]
}

/** A line across the chart, at a value of x. */
export interface CurveMark {
  name: string
  x: number
  token: Token
}

interface Props {
  spec: CurveSpec
  curves: readonly Curve[]
  marks?: readonly CurveMark[]
  /** What is to be seen, in words. */
  said: string
}

const NO_MARKS: readonly CurveMark[] = []

/** Curves over one another: pointing at the chart says the values of all of them there. */
export function CurveChart({ spec, curves, marks = NO_MARKS, said }: Props) {
  const [pointed, setPointed] = useState<number | null>(null)
  const picture = useRef<HTMLDivElement>(null)
  const shape = JSON.stringify(curves.map(({ name, token, dash, shape }) => [name, token, dash, shape]))
  const lines = JSON.stringify(marks.map(({ token }) => token))
  const { low, high } = scaleOf(spec.y, curves)
  const scale = useMemo(() => ({ low, high }), [low, high])
  const options = useMemo(
    () => plotOptions(spec, JSON.parse(shape) as Drawn[], JSON.parse(lines) as Token[], scale, setPointed),
    [spec, shape, lines, scale],
  )
  const data = useMemo(() => aligned(spec, curves, marks, scale), [spec, curves, marks, scale])
  const host = usePlot(options, data)

  const at = pointed === null ? undefined : data[0][pointed]
  const items = curves.map(({ name, token, points }) => {
    const point = at === undefined ? undefined : nearest(points, at)
    return { name, token, value: point ? spec.y.format(point[1]) : '' }
  })
  return (
    <div className="chart curve-chart" ref={picture}>
      <div className="curve-head">
        <Legend items={items} at={at === undefined ? '' : `${spec.x.name} ${spec.x.format(at)}`} />
        <ChartMenu name={spec.name} table={() => tableOf(spec, curves)} picture={picture} />
      </div>
      <div ref={host} className="plot" role="img" aria-label={`${spec.label}: ${said}`} />
    </div>
  )
}

type Drawn = [name: string, token: Token, dash: number[] | null, shape: Curve['shape'] | null]

function plotOptions(
  spec: CurveSpec,
  drawn: readonly Drawn[],
  lines: readonly Token[],
  scale: Scale,
  point: (index: number | null) => void,
): PlotOptions {
  const reference: uPlot.Series[] = spec.reference ? [line('--ink-3', [2, 4], 1)] : []
  return {
    padding: [8, 14, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, dataIdx: nearestValue },
    scales: {
      x: { time: false, ...distribution(spec.x), range: (_, min, max) => spec.x.range ?? [min, max] },
      y: { ...distribution(spec.y), range: () => [scale.low, scale.high] },
    },
    axes: [named(spec.x, { size: 20, gap: 4 }), named(spec.y, { size: 48 })],
    series: [{}, ...reference, ...drawn.map(plotSeries), ...lines.map((token) => line(token, [4, 3], 1.5))],
    hooks: { setCursor: [(plot) => point(plot.cursor.idx ?? null)] },
  }
}

function distribution({ log }: AxisSpec): uPlot.Scale {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- 3 is logarithmic; uPlot's const enum is gone with the types
  return log ? { distr: 3 } : {}
}

function named(spec: AxisSpec, more: uPlot.Axis): uPlot.Axis {
  const decades: uPlot.Axis = { splits: (_, __, min, max) => powersOfTen(min, max), filter: (_, at) => at }
  return axis({
    label: spec.name,
    labelSize: 17,
    labelFont: '11px "Geist Variable", system-ui, sans-serif',
    labelGap: 2,
    space: 44,
    values: (_, at) => at.map(spec.mark),
    ...(spec.log ? decades : {}),
    ...more,
  })
}

/** Every power of ten between; of many every second one. */
function powersOfTen(min: number, max: number) {
  const first = Math.ceil(Math.log10(min) - 1e-9)
  const last = Math.floor(Math.log10(max) + 1e-9)
  const step = last - first > 5 ? 2 : 1
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, i) => 10 ** (first + i * step))
}

function plotSeries([, token, dash, shape]: Drawn): uPlot.Series {
  const points = shape === 'dots' ? { show: true, size: 6, stroke: () => color(token), fill: () => color(token) } : { show: false }
  return { ...line(token, dash ?? [], 1.75), points }
}

function line(token: Token, dash: number[], width: number): uPlot.Series {
  return { stroke: () => color(token), width, dash, spanGaps: true, points: { show: false } }
}

/** The point of a curve that is nearest to the place pointed at: curves have points at different places. */
function nearestValue(plot: uPlot, series: number, index: number) {
  const values = plot.data[series]
  if (series === 0 || !values) return index
  for (let step = 0; step < values.length; step++) {
    if (values[index - step] != null) return index - step
    if (values[index + step] != null) return index + step
  }
  return index
}

function aligned(spec: CurveSpec, curves: readonly Curve[], marks: readonly CurveMark[], { low, high }: Scale) {
  const floor = (points: readonly CurvePoint[]) => (spec.y.log ? points.map(([x, y]) => [x, Math.max(y, low)] as const) : points)
  const reference = spec.reference ? [spec.reference] : []
  const lines = marks.map(({ x }) => [[x, low] as const, [x, high] as const])
  return align([...reference, ...curves.map(({ points }) => floor(points)), ...lines]) as unknown as uPlot.AlignedData
}

function tableOf(spec: CurveSpec, curves: readonly Curve[]): ChartTable {
  const rows = curves.flatMap(({ name, points }) => points.map(([x, y]) => [name, x, y]))
  return { columns: ['curve', spec.x.name, spec.y.name], rows }
}

import type uPlot from 'uplot'
import { color } from './palette'

const FONT = '11px "Geist Variable", system-ui, sans-serif'

export function axis(more: uPlot.Axis): uPlot.Axis {
  return {
    font: FONT,
    stroke: () => color('--ink-3'),
    grid: { stroke: () => color('--grid'), width: 1 },
    ticks: { show: false },
    gap: 6,
    ...more,
  }
}

/** The next round number above, coarse enough that the axis holds still while the data wobbles. */
export function ceilingAbove(value: number) {
  if (value <= 0) return 1
  const decade = 10 ** Math.floor(Math.log10(value))
  const step = [1, 1.6, 2, 3, 4, 5, 6, 8, 10, 12].find((n) => n * decade >= value * 1.1) ?? 12
  return step * decade
}

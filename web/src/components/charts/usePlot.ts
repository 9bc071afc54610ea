import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import { onThemeChange } from './palette'

export type PlotOptions = Omit<uPlot.Options, 'width' | 'height'>

/**
 * One uPlot in one element, as wide and high as that element. New data is drawn only while the chart is on the screen;
 * scrolled back into sight it catches up at once.
 */
export function usePlot(options: PlotOptions, data: uPlot.AlignedData) {
  const host = useRef<HTMLDivElement>(null)
  const drawing = useRef<Drawing | null>(null)

  useEffect(() => {
    if (!host.current) return
    const mine = new Drawing(host.current, options)
    drawing.current = mine
    return () => {
      mine.end()
      drawing.current = null
    }
  }, [options])

  useEffect(() => drawing.current?.show(data), [options, data])

  return host
}

class Drawing {
  private readonly plot: uPlot
  private readonly size: ResizeObserver
  private readonly sight: IntersectionObserver
  private readonly forgetTheme: () => void
  private inSight = true
  private behind: uPlot.AlignedData | null = null

  constructor(host: HTMLElement, options: PlotOptions) {
    this.plot = new uPlot({ ...options, width: host.clientWidth, height: host.clientHeight }, [[]], host)
    this.size = new ResizeObserver(() => this.plot.setSize({ width: host.clientWidth, height: host.clientHeight }))
    this.size.observe(host)
    this.sight = new IntersectionObserver((entries) => this.see(entries.at(-1)?.isIntersecting ?? true))
    this.sight.observe(host)
    // Paths keep the colour they were built with.
    this.forgetTheme = onThemeChange(() => this.plot.redraw(true, true))
    // Axes drawn before the font came are drawn again with it.
    void document.fonts.ready.then(() => this.plot.redraw(false, true))
  }

  show(data: uPlot.AlignedData) {
    if (this.inSight) this.plot.setData(data)
    else this.behind = data
  }

  end() {
    this.size.disconnect()
    this.sight.disconnect()
    this.forgetTheme()
    this.plot.destroy()
  }

  private see(inSight: boolean) {
    this.inSight = inSight
    if (!inSight || !this.behind) return
    this.plot.setData(this.behind)
    this.behind = null
  }
}

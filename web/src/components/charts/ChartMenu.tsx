import type { RefObject } from 'react'

/** The numbers behind a chart: one row per point. */
export interface ChartTable {
  columns: readonly string[]
  rows: readonly (readonly (string | number | null)[])[]
}

interface Props {
  /** Names the files: `scores` makes redflag-scores.csv. */
  name: string
  /** Asked for when somebody wants them. */
  table: () => ChartTable
  /** The element that holds the canvas or the SVG of the chart. */
  picture: RefObject<HTMLElement | null>
}

/** Takes a chart away: its numbers as CSV, or what is seen as PNG. */
export function ChartMenu({ name, table, picture }: Props) {
  const asPicture = () => {
    void draw(picture.current).then((blob) => blob && save(blob, `redflag-${name}.png`))
  }
  return (
    <span className="chart-menu" role="group" aria-label={`Save ${name}`}>
      <button type="button" onClick={() => save(csv(table()), `redflag-${name}.csv`)} title="The numbers as CSV">
        CSV
      </button>
      <button type="button" onClick={asPicture} title="The picture as PNG">
        PNG
      </button>
    </span>
  )
}

/** As RFC 4180 has it. */
export function csvText({ columns, rows }: ChartTable) {
  const cell = (value: string | number | null) => {
    const text = value === null ? '' : String(value)
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  return [columns, ...rows].map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n'
}

function csv(table: ChartTable) {
  return new Blob([csvText(table)], { type: 'text/csv' })
}

/** Hands a file to whoever looks at the page. */
export function save(blob: Blob, file: string) {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = file
  link.click()
  // The download has begun by the time that the next task runs.
  setTimeout(() => URL.revokeObjectURL(url), 0)
}

/** Twice as large as on the screen, on the colour of the panel. */
async function draw(host: HTMLElement | null): Promise<Blob | null> {
  if (!host) return null
  const { width, height } = host.getBoundingClientRect()
  const paper = document.createElement('canvas')
  paper.width = Math.round(width * 2)
  paper.height = Math.round(height * 2)
  const pen = paper.getContext('2d')
  if (!pen) return null
  pen.fillStyle = groundOf(host)
  pen.fillRect(0, 0, paper.width, paper.height)
  const canvases = host.querySelectorAll('canvas')
  const svg = host.querySelector('svg')
  if (canvases.length > 0) for (const canvas of canvases) drawInPlace(pen, canvas, host)
  else if (svg) pen.drawImage(await pictureOf(svg, width, height), 0, 0, paper.width, paper.height)
  else return null
  return new Promise((resolve) => paper.toBlob(resolve, 'image/png'))
}

/** A panel may hold several charts, each in its own place. */
function drawInPlace(pen: CanvasRenderingContext2D, canvas: HTMLCanvasElement, host: HTMLElement) {
  const around = host.getBoundingClientRect()
  const { left, top, width, height } = canvas.getBoundingClientRect()
  pen.drawImage(canvas, (left - around.left) * 2, (top - around.top) * 2, width * 2, height * 2)
}

/** The first colour that is painted behind the chart. */
function groundOf(host: HTMLElement) {
  for (let at: HTMLElement | null = host; at; at = at.parentElement) {
    const { backgroundColor } = getComputedStyle(at)
    if (!/^rgba\(.*, 0\)$|^transparent$/.test(backgroundColor)) return backgroundColor
  }
  return '#fff'
}

/** An SVG outside of the page has no style sheet: what it is painted with is written into a copy. */
async function pictureOf(svg: SVGSVGElement, width: number, height: number) {
  const copy = svg.cloneNode(true) as SVGSVGElement
  const originals = [svg, ...svg.querySelectorAll('*')]
  const copies = [copy, ...copy.querySelectorAll('*')] as (HTMLElement | SVGElement)[]
  copies.forEach((element, i) => {
    const original = originals[i]
    if (!original) return
    const style = getComputedStyle(original)
    for (const name of PAINT) element.style.setProperty(name, style.getPropertyValue(name))
  })
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  copy.setAttribute('width', String(width))
  copy.setAttribute('height', String(height))
  const image = new Image()
  const url = URL.createObjectURL(new Blob([copy.outerHTML], { type: 'image/svg+xml' }))
  image.src = url
  await image.decode().finally(() => URL.revokeObjectURL(url))
  return image
}

const STROKE = ['stroke', 'stroke-width', 'stroke-dasharray', 'stroke-linecap', 'stroke-opacity']
const PAINT = ['fill', 'fill-opacity', ...STROKE, 'opacity', 'font', 'text-anchor', 'color']

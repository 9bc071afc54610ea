/**
 * Makes src/features/live/world.json: the outlines of countries as SVG paths, by their ISO 3166 alpha-2 code. The geometry is Natural
 * Earth's at 1:110m (public domain), by way of world-atlas; the projection is Equal Earth (Šavrič, Patterson and Jenny 2018), in
 * which areas can be compared. Run in web/: node scripts/world.js
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { feature } from 'topojson-client'

const require = createRequire(import.meta.url)
const codes = require('i18n-iso-countries/codes.json')
const alpha2 = new Map(codes.map(([two, , numeric]) => [numeric, two]))

/** Natural Earth draws them, ISO 3166 has no numbers for them. */
const WITHOUT_NUMBER = { Kosovo: 'XK', 'N. Cyprus': null, Somaliland: null }

/** Nobody pays there, and it takes a sixth of the picture. */
const LEFT_OUT = new Set(['AQ'])

const WIDTH = 1000
const [A1, A2, A3, A4] = [1.340264, -0.081106, 0.000893, 0.003796]
const M = Math.sqrt(3) / 2

function equalEarth([longitude, latitude]) {
  const [lambda, phi] = [(longitude * Math.PI) / 180, (latitude * Math.PI) / 180]
  const theta = Math.asin(M * Math.sin(phi))
  const t2 = theta * theta
  const t6 = t2 * t2 * t2
  const x = (lambda * Math.cos(theta)) / (M * (A1 + 3 * A2 * t2 + t6 * (7 * A3 + 9 * A4 * t2)))
  return [x, -theta * (A1 + A2 * t2 + t6 * (A3 + A4 * t2))]
}

const [half] = equalEarth([180, 0])
const scale = WIDTH / (2 * half)
const top = equalEarth([0, 84])[1] * scale
const bottom = equalEarth([0, -57])[1] * scale
const place = (point) => {
  const [x, y] = equalEarth(point)
  return [Math.round((x * scale + WIDTH / 2) * 10) / 10, Math.round((y * scale - top) * 10) / 10]
}

/** A ring over the date line goes on beyond 180°, instead of back across the whole picture. */
function unwrapped(ring) {
  let before = ring[0][0]
  return ring.map(([longitude, latitude]) => {
    const turns = Math.round((before - longitude) / 360)
    before = longitude + 360 * turns
    return [before, latitude]
  })
}

function pathOf(ring) {
  const [first, ...rest] = unwrapped(ring).map(place)
  let [x, y] = first
  const steps = rest.map(([nextX, nextY]) => {
    const step = `${round(nextX - x)},${round(nextY - y)}`
    ;[x, y] = [nextX, nextY]
    return step
  })
  return `M${first.join(',')}l${steps.join(' ')}z`
}

function round(value) {
  return Math.round(value * 10) / 10
}

const atlas = JSON.parse(readFileSync(require.resolve('world-atlas/countries-110m.json'), 'utf8'))
const countries = {}
const unnamed = []
for (const { id, properties, geometry } of feature(atlas, atlas.objects.countries).features) {
  const code = id === undefined ? WITHOUT_NUMBER[properties.name] : alpha2.get(id)
  if (code !== undefined && LEFT_OUT.has(code)) continue
  const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates
  const path = polygons.flat().map(pathOf).join('')
  if (code) countries[code] = { name: properties.name, path }
  else unnamed.push(path)
}
const size = [WIDTH, Math.round(bottom - top)]
writeFileSync('src/features/live/world.json', `${JSON.stringify({ size, countries, unnamed })}\n`)

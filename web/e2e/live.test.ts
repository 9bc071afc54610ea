/** The live page's figures in a real browser on the real binary: what it shows is what the service counts, and that is what SQL says. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { components } from '../src/api/schema'
import type { Complaints } from './browser'
import { itIsFitForAll } from './quality'
import { Server } from './server'
import { Visit } from './visit'

type Schemas = components['schemas']

let visit: Visit | undefined
let server: Server
let folder: string
let page: Page
let complaints: Complaints
let shift: () => Promise<number>

beforeAll(async () => {
  visit = await Visit.to(async (folder) => (await Server.demo(join(folder, 'demo'))).start())
  server = visit.server
  folder = visit.folder
  ;({ page, complaints } = await visit.open('/'))
  shift = await watchShift(page)
  // Frauds become known after some minutes of the demo's quick time.
  while ((await activity('range=all')).total.frauds < 4) await sleep(1_000)
})

afterAll(() => visit?.leave())

describe('what the service counts', () => {
  it('is what SQL says of the database at that moment', async () => {
    const counted = await activity('range=all')
    const said = await sql(counted.as_of)
    const { total } = counted
    expect([total.decisions, total.in_review, total.declined, total.frauds, total.saved, total.missed]).toEqual(said.counts)
    const money = [total.amount, total.saved_amount, total.missed_amount, total.expected_saved_amount]
    money.forEach((amount, i) => expect(amount).toBeCloseTo(said.money[i] ?? NaN, 4))
    const countries = counted.breakdowns.find(({ field }) => field === 'country')?.values ?? []
    expect(Object.fromEntries(countries.map(({ value, decisions }) => [value, decisions]))).toEqual(said.countries)
    const summed = counted.week.reduce((sum, { decisions }) => sum + decisions, 0)
    expect([summed, counted.score_histogram.reduce((sum, n) => sum + n, 0)]).toEqual([total.decisions, total.decisions])
    expect(counted.week.map(({ decisions }) => decisions)).toEqual(said.week)
  })
})

describe('the live page', () => {
  it.each(['15m', '1h', '24h', 'all'])('shows the figures of %s', async (range) => {
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.url().includes('/v1/activity') && !response.url().includes('synthetic')),
      page.goto(`${server.url}/?range=${range}`),
    ])
    const first = (await answer.json()) as Schemas['Activity']
    await page.getByRole('button', { name: 'Pause' }).click()
    const shown = await shownCounts()
    // It may have been asked again before it was paused: then there are more.
    const now = await activity('range=all')
    if (range !== 'all') expect(shown.transactions).toBeGreaterThanOrEqual(first.total.decisions)
    expect(shown.transactions).toBeLessThanOrEqual(now.total.decisions)
    expect(shown.week, 'of the same answer').toBe(shown.transactions)
    await page.getByRole('button', { name: 'Resume' }).click()
  })

  it('shows a range of the past as the service counts it', async () => {
    const to = new Date(Math.floor(Date.now() / 60_000) * 60_000)
    const from = new Date(to.getTime() - 120_000)
    await page.goto(`${server.url}/?from=${from.toISOString()}&to=${to.toISOString()}`)
    const counted = await activity(`from=${from.toISOString()}&to=${to.toISOString()}&step=minute`)
    await expect.poll(async () => (await shownCounts()).transactions).toBe(counted.total.decisions)
    expect((await shownCounts()).saved).toBeCloseTo(counted.total.saved_amount, 1)
  })

  it('goes back in time and to the live view again', async () => {
    await page.getByRole('button', { name: 'Earlier' }).click()
    await page.waitForURL(/from=/)
    await page.getByText('the newest (live), not those of the range').waitFor()
    await page.getByRole('button', { name: 'Back to live' }).click()
    await page.waitForURL(`${server.url}/`)
  })

  it('draws the countries of the breakdown on a map', async () => {
    await page.goto(`${server.url}/?range=1h`)
    await page.locator('.world svg path').nth(100).waitFor({ state: 'attached' })
    const painted = await page.locator('.world .country[style]').count()
    const { breakdowns } = await activity('range=all')
    const countries = breakdowns.find(({ kind }) => kind === 'country')?.values ?? []
    expect(painted).toBeGreaterThan(2)
    expect(painted).toBeLessThanOrEqual(countries.length)
  })

  itIsFitForAll(() => page)

  it('hardly moves while it runs', async () => {
    await page.goto(server.url)
    await page.locator('.decisions:not([aria-busy]) tbody tr').nth(9).waitFor()
    await sleep(5_000)
    expect(await shift()).toBeLessThan(0.1)
  })
})

it('said nothing on the console, and asked nobody but its own server', () => {
  expect(complaints.heard).toEqual([])
})

async function shownCounts() {
  await page.locator('.range-tiles[aria-busy=false]').waitFor()
  const tile = async (name: string) => number(await page.locator(`[data-tile="${name}"]`).innerText())
  const cells = await page.locator('.week-scroll table td').allTextContents()
  const week = cells.map(number).reduce((sum, value) => sum + value, 0)
  return { transactions: await tile('Transactions'), saved: await tile('Saved'), week }
}

function number(text: string) {
  return Number(text.replace(/[^0-9.]/g, ''))
}

/** Layout shift of the page that is open, as browsers score it. */
async function watchShift(page: Page) {
  await page.addInitScript(() => {
    Object.assign(window, { shifted: 0 })
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
        if (!entry.hadRecentInput) (window as unknown as { shifted: number }).shifted += entry.value
      }
    }).observe({ type: 'layout-shift', buffered: true })
  })
  return () => page.evaluate(() => (window as unknown as { shifted: number }).shifted)
}

/** `range=all`: from the first decision on. */
async function activity(query: string) {
  if (query !== 'range=all') return ask<Schemas['Activity']>(`/v1/activity?${query}`)
  const { first } = await ask<Schemas['Activity']>('/v1/activity?step=hour')
  return ask<Schemas['Activity']>(`/v1/activity?step=hour&from=${first ?? new Date(0).toISOString()}`)
}

async function ask<T>(path: string) {
  return (await (await fetch(server.url + path)).json()) as T
}

interface Said {
  counts: number[]
  money: number[]
  countries: Record<string, number>
  week: number[]
}

/** The same in SQL, of the log up to a position. */
async function sql(asOf: number): Promise<Said> {
  const program = `
import json, sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
known = """WITH known AS (SELECT d.*, (SELECT fraud FROM labels l WHERE l.transaction_sequence = d.sequence
  AND l.sequence <= :as_of ORDER BY l.sequence DESC LIMIT 1) AS fraud FROM decisions d WHERE d.sequence <= :as_of) SELECT """
def ask(what):
    return database.execute(known + what, {"as_of": int(sys.argv[2])}).fetchall()
counts = ask("count(*), sum(outcome = 'review'), sum(outcome = 'decline'), sum(fraud = 1), sum(fraud = 1 AND outcome = 'decline'), sum(fraud = 1 AND outcome = 'approve') FROM known")[0]
money = ask("sum(amount_minor), sum(amount_minor * (fraud = 1 AND outcome = 'decline')), sum(amount_minor * (fraud = 1 AND outcome = 'approve')), sum(amount_minor * score * (fraud IS NULL AND outcome = 'decline')) FROM known")[0]
countries = dict(ask("event ->> 'country', count(*) FROM known GROUP BY 1"))
hours = dict(ask("((event_time_us / 3600000000) + 72) % 168, count(*) FROM known GROUP BY 1"))
print(json.dumps({"counts": counts, "money": [(m or 0) / 100 for m in money], "countries": countries, "week": [hours.get(h, 0) for h in range(168)]}))
`
  const { stdout } = await promisify(execFile)('python3', ['-c', program, join(folder, 'demo', 'redflag.db'), String(asOf)])
  return JSON.parse(stdout) as Said
}

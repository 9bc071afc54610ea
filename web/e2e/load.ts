/**
 * What looking costs: a demo that streams much, for some minutes without viewers and then with some. Prints what the service does,
 * what the pages do, and whether their counters are exact.
 *
 *     REDFLAG_RATE=5000 REDFLAG_MINUTES=10 REDFLAG_VIEWERS=3 npm --prefix web run load
 */
/* eslint-disable no-console -- a table is what is asked for */
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import type { components } from '../src/api/schema'
import { openBrowser, openPage } from './browser'
import { Server } from './server'

type Schemas = components['schemas']

const rate = Number(process.env.REDFLAG_RATE ?? 5_000)
const minutes = Number(process.env.REDFLAG_MINUTES ?? 10)
const viewers = Number(process.env.REDFLAG_VIEWERS ?? 3)

/** Until history is simulated, the model trained and the stream has found its pace. */
const WARM_UP_MS = 20_000

it('measures what viewers cost', { timeout: 3_600_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'redflag-load-'))
  const server = await Server.demo(join(folder, 'demo'), { rate, customers: 5_000 })
  await server.start()
  await sleep(WARM_UP_MS)
  const alone = await measure(server, Math.min(minutes, 2))
  const browser = await openBrowser()
  const pages = await Promise.all(Array.from({ length: viewers }, () => openPage(browser, server.url)))
  await Promise.all(pages.map(({ page }) => watchFrames(page)))
  const heapBefore = await Promise.all(pages.map(({ page }) => heapBytes(page)))
  const watched = await measure(server, minutes)
  const heapAfter = await Promise.all(pages.map(({ page }) => heapBytes(page)))
  const seen = await Promise.all(pages.map(({ page }) => framesOf(page)))
  const exact = await Promise.all(pages.map(({ page }) => isExact(page, server.url)))
  const heard = pages.flatMap(({ complaints }) => complaints.heard)
  await browser.close()
  await server.interrupt()
  await rm(folder, { recursive: true, force: true })

  console.log(`${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, ${rate} transactions/s asked for`)
  console.table({ 'without viewers': alone, [`with ${viewers}, ${minutes} min`]: watched })
  console.table(seen.map((frames, at) => ({ ...frames, heapBefore: megabytes(heapBefore[at]), heapAfter: megabytes(heapAfter[at]), exact: exact[at] })))
  expect(heard).toEqual([])
  expect(exact).toEqual(pages.map(() => true))
})

/** What the service does in some minutes. */
async function measure(server: Server, length_min: number) {
  const [before, processorBefore, begun] = [await stats(server.url), await server.processorSeconds(), performance.now()]
  await sleep(length_min * 60_000)
  const [after, processorAfter] = [await stats(server.url), await server.processorSeconds()]
  const seconds = (performance.now() - begun) / 1_000
  const decisions = after.totals.decisions - before.totals.decisions
  return {
    'decisions/s': Math.round(decisions / seconds),
    'processor us/decision': round(((processorAfter - processorBefore) / decisions) * 1e6),
    'p50 us': after.latency_us.p50,
    'p99 us': after.latency_us.p99,
  }
}

interface Watch {
  intervals: number[]
  shift: number
}

function watchFrames(page: Page) {
  return page.evaluate(() => {
    const watch: Watch = { intervals: [], shift: 0 }
    Object.assign(window, { watch })
    let last = performance.now()
    const frame = (now: number) => {
      watch.intervals.push(now - last)
      last = now
      requestAnimationFrame(frame)
    }
    requestAnimationFrame(frame)
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) watch.shift += (entry as PerformanceEntry & { value: number }).value
    }).observe({ type: 'layout-shift', buffered: true })
  })
}

async function framesOf(page: Page) {
  const { intervals, shift } = await page.evaluate(() => (window as unknown as { watch: Watch }).watch)
  const painted = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN)
  const sorted = intervals.toSorted((a, b) => a - b)
  const total = intervals.reduce((sum, interval) => sum + interval, 0)
  return {
    'first paint ms': round(painted),
    'frames/s': round((intervals.length / total) * 1_000),
    'frame p99 ms': round(sorted[Math.floor(sorted.length * 0.99)] ?? NaN),
    'layout shift': round(shift, 4),
  }
}

/** After a garbage collection, so that what counts is what is held. */
async function heapBytes(page: Page) {
  const session = await page.context().newCDPSession(page)
  await session.send('HeapProfiler.collectGarbage')
  const { usedSize } = await session.send('Runtime.getHeapUsage')
  return usedSize
}

/** Whether the page's total is one that the service has had between two looks at it. */
async function isExact(page: Page, url: string) {
  const before = (await stats(url)).totals.decisions
  await sleep(1_500)
  const shown = Number((await page.locator('[data-tile=Decisions]').innerText()).replace(/[^0-9]/g, ''))
  const after = (await stats(url)).totals.decisions
  return before <= shown && shown <= after
}

async function stats(url: string) {
  return (await (await fetch(`${url}/v1/stats`)).json()) as Schemas['Stats']
}

function megabytes(bytes = NaN) {
  return `${round(bytes / 1e6)} MB`
}

function round(value: number, digits = 1) {
  return Number(value.toFixed(digits))
}

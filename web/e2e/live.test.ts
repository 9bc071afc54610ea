/**
 * The page in a real browser on the real binary: REDFLAG_BIN says which one. Everything it was built from is under test,
 * so nothing here is made up. REDFLAG_SCREENSHOTS=DIR also writes the pictures of the documentation.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accessibilityFaults, Complaints, openBrowser } from './browser'
import { freePort, Server } from './server'

let dataDir: string
let server: Server
let browser: Browser | undefined
let page: Page
let complaints: Complaints

beforeAll(async () => {
  const binary = process.env.REDFLAG_BIN
  if (!binary) throw new Error('set REDFLAG_BIN to the redflag binary to test')
  browser = await openBrowser()
  dataDir = await mkdtemp(join(tmpdir(), 'redflag-e2e-'))
  server = new Server(binary, await freePort(), dataDir)
  await server.start()
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'light' })
  page = await context.newPage()
  complaints = new Complaints(page, server.url)
  await page.goto(server.url)
})

afterAll(async () => {
  // Without a browser nothing else was begun.
  if (!browser) return
  await browser.close()
  await server.interrupt()
  await rm(dataDir, { recursive: true, force: true })
})

describe('the live page', () => {
  it('connects and lists decisions', async () => {
    await connection('live')
    await page.locator(ROWS).nth(9).waitFor()
  })

  it('counts up and lists newer decisions', async () => {
    const before = { total: await total(), newest: await newest() }
    await until(async () => (await total()) > before.total && (await newest()) !== before.newest)
  })

  it('holds the rows while paused and counts what waits', async () => {
    await page.getByRole('button', { name: 'Pause' }).click()
    const held = await newest()
    await page.getByText(/Paused, [1-9][\d,]* waiting/).waitFor()
    expect(await newest()).toBe(held)
    await page.getByRole('button', { name: 'Resume' }).click()
    await until(async () => (await newest()) !== held)
  })

  it('lists only the outcome asked for', async () => {
    await page.getByRole('button', { name: 'Approved' }).click()
    await page.locator(ROWS).first().waitFor()
    const outcomes = await page.locator(ROWS).evaluateAll((rows) => rows.map((row) => row.dataset.outcome))
    expect(new Set(outcomes)).toEqual(new Set(['approve']))
    await page.getByRole('button', { name: 'All', exact: true }).click()
  })

  it('fits a phone', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360)
    await page.setViewportSize({ width: 1440, height: 900 })
  })

  it.each(['light', 'dark'] as const)('is accessible in %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme })
    expect(await accessibilityFaults(page)).toEqual([])
    await picture(`live-${colorScheme}`)
  })
})

describe('a server that goes away', () => {
  it('is shown as lost, with the last numbers kept', async () => {
    const before = await total()
    complaints.serverDown = true
    await server.interrupt()
    await connection('waiting')
    await page.getByText(/reconnecting in \d+ s/).waitFor()
    await page.getByText('The connection is lost.').waitFor()
    expect(await total()).toBeGreaterThanOrEqual(before)
  })

  it('is found again by itself, and rows arrive as before', async () => {
    const last = await newest()
    await server.start()
    await connection('live')
    complaints.serverDown = false
    await until(async () => (await newest()) !== last)
    const restarted = await total()
    await until(async () => (await total()) > restarted)
  })
})

describe('the page of a transaction', () => {
  it('opens from a row, and by its address', async () => {
    await page.getByRole('button', { name: 'Pause' }).click()
    const id = await newest()
    await page.locator(ROWS).first().locator('a').click()
    await page.getByRole('heading', { level: 1, name: id }).waitFor()
    expect(new URL(page.url()).pathname).toBe(`/transactions/${encodeURIComponent(id)}`)
    await page.reload()
    await page.getByRole('heading', { level: 1, name: id }).waitFor()
  })

  it('shows the event and the features', async () => {
    await page.getByRole('heading', { name: 'Event', exact: true }).waitFor()
    await page.locator('.features tbody tr').first().waitFor()
    const [name, value] = await page.locator('.features tbody tr').first().locator('th, td').allInnerTexts()
    expect(name).toMatch(/\w/)
    expect(value).toMatch(/\d|missing/)
  })

  it('takes a label and keeps it', async () => {
    const fraud = page.getByRole('button', { name: 'Fraud' })
    await fraud.click()
    await page.getByText('Labelled as fraud.').waitFor()
    await page.getByText(/known at .* UTC/).waitFor()
    await page.reload()
    await page.getByText(/known at .* UTC/).waitFor()
    expect(await fraud.getAttribute('aria-pressed')).toBe('true')
  })

  it.each(['light', 'dark'] as const)('is accessible in %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme })
    expect(await accessibilityFaults(page)).toEqual([])
    await picture(`transaction-${colorScheme}`)
  })

  it('leads back to the live page', async () => {
    await page.getByRole('link', { name: 'Live', exact: true }).click()
    await page.locator(ROWS).first().waitFor()
  })
})

it('said nothing on the console, and asked nobody but its own server', () => {
  expect(complaints.heard).toEqual([])
})

const ROWS = '.decisions:not([aria-busy]) tbody tr'

function connection(phase: string) {
  return page.locator(`.page[data-connection=${phase}]`).waitFor({ timeout: 60_000 })
}

async function total() {
  const text = await page.locator('[data-tile=Decisions]').innerText()
  return Number(text.replaceAll(',', ''))
}

function newest() {
  return page.locator(ROWS).first().locator('a').innerText()
}

function until(holds: () => Promise<boolean>) {
  return expect.poll(holds, { timeout: 20_000, interval: 100 }).toBe(true)
}

async function picture(name: string) {
  const dir = process.env.REDFLAG_SCREENSHOTS
  if (!dir) return
  await mkdir(dir, { recursive: true })
  await page.screenshot({ path: join(dir, `${name}.png`) })
}

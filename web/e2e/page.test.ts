/**
 * The page in a real browser on the real binary: REDFLAG_BIN says which one. Everything it was built from is under test,
 * so nothing here is made up.
 */
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accessibilityFaults, openPage, type Complaints } from './browser'
import { Server } from './server'
import { Shell } from './shell'
import { Visit } from './visit'

let visit: Visit | undefined
let server: Server
let folder: string
let page: Page
let complaints: Complaints

beforeAll(async () => {
  visit = await Visit.to(async (folder) => (await Server.demo(join(folder, 'demo'))).start())
  server = visit.server
  folder = visit.folder
  ;({ page, complaints } = await visit.open('/'))
})

afterAll(() => visit?.leave())

/** Examples that this server answers with a refusal, and what it says. */
const REFUSED = {
  '/promote': 'no registry',
  '/retraining/runs/': 'no such run',
  '/retraining/runs': 'not as things are',
  'blocked_terminals?': 'there is no list',
  '/entries': 'there is no list',
  '/removals': 'there is no list',
  '/generate/report': 'cannot be compared',
  '/generate/': 'no such job',
  '/alerts/1': 'no such alert',
}

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
    await page.setViewportSize({ width: 1440, height: 1000 })
  })

  it.each(['light', 'dark'] as const)('is accessible in %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme })
    expect(await accessibilityFaults(page)).toEqual([])
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
  })

  it('leads back to the live page', async () => {
    await page.locator('.back').click()
    await page.locator(ROWS).first().waitFor()
  })
})

describe('the documentation of the API', () => {
  it('is reached from the header and by its address, and lists every operation', async () => {
    await page.getByRole('link', { name: 'API', exact: true }).click()
    await page.getByRole('heading', { level: 1, name: 'redflag API' }).waitFor()
    expect(new URL(page.url()).pathname).toBe('/docs')
    await page.goto(`${server.url}/docs#label`)
    await page.getByRole('heading', { level: 3, name: 'POST /v1/labels' }).waitFor()
    await until(() => page.locator('#label').evaluate((label) => label.getBoundingClientRect().top < innerHeight))
    const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: Record<string, object> }
    const operations = Object.values(paths).reduce((sum, path) => sum + Object.keys(path).length, 0)
    expect(await page.locator('.operation').count()).toBe(operations)
  })

  it('unfolds a schema', async () => {
    const answer = page.locator('#decision details.response').first()
    await answer.locator('summary').first().click()
    await answer.getByText('latency_us').waitFor()
  })

  it('fits a phone', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360)
    await page.setViewportSize({ width: 1440, height: 1000 })
  })

  it.each(['light', 'dark'] as const)('is accessible in %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme })
    expect(await accessibilityFaults(page)).toEqual([])
  })

  it('shows commands that run as they stand', async () => {
    await connection('live')
    const commands = await page.locator('.operation pre').allInnerTexts()
    const [sockets, requests] = [commands.filter(isSocket), commands.filter((command) => !isSocket(command))]
    const shell = await Shell.in(folder, 30)
    const ran: string[] = []
    for (const command of requests) {
      const { failed, said } = await shell.run(command)
      // This server decides by a model file: it says that it has no registry in which a model could be promoted.
      // Nor has it a job or an alert of the name that stands for one, or anything synthetic to compare with.
      const refusal = Object.entries(REFUSED).find(([path]) => command.includes(path))?.[1]
      const expected = refusal ? said.includes(refusal) : !failed
      if (!expected) ran.push(`${command}\n${said}`)
    }
    expect(ran).toEqual([])
    // It ends when its time is over, and has shown the first message by then.
    const listener = await Shell.in(folder, 2)
    expect(sockets).toHaveLength(1)
    expect((await listener.run(sockets[0] ?? '')).said).toContain('"kind":"snapshot"')
  })
})

describe('a service without transactions', () => {
  it('shows a command that posts the first one', async () => {
    if (!visit) throw new Error('the browser is open')
    const empty = await Server.serve(join(folder, 'empty'))
    await empty.start()
    const first = await openPage(visit.browser, empty.url)
    await first.page.getByText('No transactions yet').waitFor()
    const command = await first.page.getByLabel('The command').innerText()
    const shell = await Shell.in(folder, 30)
    expect(await shell.run(command)).toMatchObject({ failed: false })
    await first.page.getByRole('link', { name: 'first', exact: true }).waitFor()
    await first.page.close()
    await empty.interrupt()
    expect(first.complaints.heard).toEqual([])
  })
})

it('said nothing on the console, and asked nobody but its own server', () => {
  expect(complaints.heard).toEqual([])
})

const ROWS = '.decisions:not([aria-busy]) tbody tr'

function isSocket(command: string) {
  return command.includes('upgrade: websocket')
}

function connection(phase: string) {
  return page.locator(`.page[data-connection=${phase}]`).waitFor()
}

async function total() {
  const text = await page.locator('[data-tile=Decisions]').innerText()
  return Number(text.replaceAll(',', ''))
}

function newest() {
  return page.locator(ROWS).first().locator('a').innerText()
}

function until(holds: () => Promise<boolean>) {
  return expect.poll(holds, { timeout: 60_000, interval: 100 }).toBe(true)
}

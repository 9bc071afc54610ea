/** The page of health in a real browser, on a service that has just been sent nonsense. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBrowser, openPage, type Complaints } from './browser'
import { itIsFitForAll } from './quality'
import { Server } from './server'

let folder: string
let server: Server
let browser: Browser | undefined
let page: Page
let complaints: Complaints

beforeAll(async () => {
  browser = await openBrowser()
  folder = await mkdtemp(join(tmpdir(), 'redflag-e2e-'))
  server = await Server.serve(join(folder, 'empty'))
  await server.start()
  ;({ page, complaints } = await openPage(browser, server.url))
  await page.goto(`${server.url}/health`)
})

afterAll(async () => {
  if (!browser) return
  await browser.close()
  await server.interrupt()
  await rm(folder, { recursive: true, force: true })
})

describe('health', () => {
  it('shows every part and how it is', async () => {
    await page.getByRole('heading', { level: 1, name: 'Health' }).waitFor()
    const { parts } = (await (await fetch(`${server.url}/v1/health`)).json()) as { parts: { name: string }[] }
    await page.locator('.health-part .health-state').first().waitFor()
    expect(await page.locator('.health-part').count()).toBe(parts.length)
  })

  it('lists what was rejected', async () => {
    await page.getByText('Nothing was rejected').waitFor()
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${server.url}/v1/transactions`, { method: 'POST', headers, body: '{"transaction_id":"nonsense"}' })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    const row = page.getByRole('table', { name: 'The newest rejections' }).getByRole('row').filter({ hasText: 'nonsense' })
    await row.getByText('http', { exact: true }).waitFor()
    await row.locator('summary').click()
    await row.locator('pre').getByText('{"transaction_id":"nonsense"}').waitFor()
  })
})

describe('the page as it stands then', () => {
  itIsFitForAll(() => page)

  it('said nothing on the console, and asked nobody but its own server', () => {
    expect(complaints.heard).toEqual([])
  })
})

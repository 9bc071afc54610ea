/** The page of health in a real browser, on a service that has just been sent nonsense. */
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Complaints } from './browser'
import { itIsFitForAll } from './quality'
import { Server } from './server'
import { Visit } from './visit'

let visit: Visit | undefined
let server: Server
let page: Page
let complaints: Complaints

beforeAll(async () => {
  visit = await Visit.to(async (folder) => (await Server.serve(join(folder, 'empty'))).start())
  server = visit.server
  ;({ page, complaints } = await visit.open('/health'))
})

afterAll(() => visit?.leave())

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

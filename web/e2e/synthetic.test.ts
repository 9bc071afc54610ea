/** The page of synthetic transactions in a real browser, beside real ones that the service has decided. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBrowser, openPage, type Complaints } from './browser'
import { itIsFitForAll } from './quality'
import { startRegistered } from './registered'
import type { Server } from './server'

let folder: string
let server: Server
let browser: Browser | undefined
let page: Page
let complaints: Complaints

beforeAll(async () => {
  browser = await openBrowser()
  folder = await mkdtemp(join(tmpdir(), 'redflag-e2e-'))
  server = await startRegistered(folder)
  ;({ page, complaints } = await openPage(browser, server.url))
  await page.goto(`${server.url}/synthetic`)
})

afterAll(async () => {
  if (!browser) return
  await browser.close()
  await server.interrupt()
  await rm(folder, { recursive: true, force: true })
})

describe('making transactions', () => {
  it('sends them down the stream and follows them to the end', async () => {
    await page.getByLabel('Transactions', { exact: true }).fill('200')
    await page.getByLabel('Transactions a second').fill('')
    await page.getByRole('button', { name: 'Send to the stream' }).click()
    await page.getByText(/^Job .* began/).waitFor()
    await page.locator('.job[data-state=done]').getByText(/^200 of 200/).waitFor()
  })

  it('can be stopped', async () => {
    await page.getByLabel('Transactions a second').fill('5')
    await page.getByRole('button', { name: 'Send to the stream' }).click()
    await page.getByRole('button', { name: /^Cancel job/ }).click()
    await page.locator('.job[data-state=cancelled]').waitFor()
  })

  it('downloads a file', async () => {
    const downloading = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download as' }).click()
    expect((await downloading).suggestedFilename()).toMatch(/\.csv$/)
  })
})

describe('real against synthetic', () => {
  it('is said in words and drawn', async () => {
    await page.getByRole('button', { name: 'Compare' }).click()
    await page.locator('.report-verdict li').first().waitFor()
    expect(await page.locator('.report-clouds svg').count()).toBe(2)
    expect(await page.locator('.report-columns svg').count()).toBeGreaterThan(2)
    await page.locator('.report-tiles').getByText('Column shapes').waitFor()
  })
})

describe('the page as it stands then', () => {
  itIsFitForAll(() => page)

  it('said nothing on the console, and asked nobody but its own server', () => {
    expect(complaints.heard).toEqual([])
  })
})

/** The page of synthetic transactions in a real browser, beside real ones that the service has decided. */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Complaints } from './browser'
import { itIsFitForAll } from './quality'
import { startRegistered } from './registered'
import { Visit } from './visit'

let visit: Visit | undefined
let page: Page
let complaints: Complaints

beforeAll(async () => {
  visit = await Visit.to(startRegistered)
  ;({ page, complaints } = await visit.open('/synthetic'))
})

afterAll(() => visit?.leave())

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

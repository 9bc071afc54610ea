/** The page of models in a real browser, on a registry with a champion and a challenger. */
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
  ;({ page, complaints } = await visit.open('/models'))
})

afterAll(() => visit?.leave())

describe('the threshold', () => {
  it('says in two clicks what half of the alerts would take', async () => {
    await page.getByRole('heading', { level: 1, name: 'Models' }).waitFor()
    const before = await page.locator('.threshold-said').innerText()
    await page.getByRole('button', { name: 'Halve the alerts' }).click()
    const said = await page.locator('.threshold-said').innerText()
    expect(said).not.toBe(before)
    const [now = NaN, was = NaN] = [/been ([\d,.]+) alerts/, /instead of ([\d,.]+);/].map((of) => Number(of.exec(said)?.[1]?.replaceAll(',', '')))
    expect(now).toBeLessThanOrEqual(was / 2 + 0.1)
  })

  it('moves the confusion matrix along', async () => {
    const caught = page.locator('.confusion td b').first()
    await page.getByRole('slider', { name: /Threshold/ }).press('End')
    const fewest = Number(await caught.innerText())
    await page.getByRole('slider', { name: /Threshold/ }).press('Home')
    expect(Number(await caught.innerText())).toBeGreaterThan(fewest)
    await expect.poll(() => new URL(page.url()).searchParams.has('threshold')).toBe(true)
  })
})

describe('drift', () => {
  it('is said feature by feature', async () => {
    await page.getByText(/^Features: \d+ different, \d+ shifting, \d+ stable\./).waitFor()
  })
})

describe('a promotion', () => {
  it('is done with a reason alone, and changes who decides', async () => {
    const challenger = await page.locator('.beside thead th').filter({ hasText: 'challenger' }).locator('code').innerText()
    await page.getByRole('button', { name: `Promote ${challenger}` }).click()
    await page.getByLabel('Who').fill('grace')
    await page.getByRole('button', { name: 'Do it' }).click()
    await page.getByText('Say why.').waitFor()
    await page.getByLabel('Why').fill('twice the trees')
    await page.getByRole('button', { name: 'Do it' }).click()
    await page.getByText(`${challenger} decides`).first().waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await page.locator('.beside thead th').filter({ hasText: challenger }).getByText('champion').waitFor()
    await page.locator('.history').getByText('twice the trees').waitFor()
  })
})

describe('the page as it stands then', () => {
  itIsFitForAll(() => page)

  it('said nothing on the console, and asked nobody but its own server', () => {
    expect(complaints.heard).toEqual([])
  })
})

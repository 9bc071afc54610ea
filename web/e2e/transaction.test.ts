/** The page of one transaction in a real browser on the real binary: a declined one of the demo, looked at closely. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { components } from '../src/api/schema'
import { accessibilityFaults, type Complaints } from './browser'
import { Server } from './server'
import { Visit } from './visit'

type Schemas = components['schemas']

let visit: Visit | undefined
let server: Server
let page: Page
let complaints: Complaints
let declined: Schemas['DecisionSummary']

beforeAll(async () => {
  visit = await Visit.to(async (folder) => (await Server.demo(join(folder, 'demo'))).start())
  server = visit.server
  declined = await firstDecline()
  ;({ page, complaints } = await visit.open(`/transactions/${declined.id}`))
})

afterAll(() => visit?.leave())

describe('the page of a declined transaction', () => {
  it('says what was decided, and by what', async () => {
    await page.getByRole('heading', { level: 1, name: declined.id }).waitFor()
    await page.locator('.verdict').getByText('declined').waitFor()
    await page.getByText(/^amount in [A-Z]{3}$/).waitFor()
    await page.locator('.feature-window').first().waitFor()
  })

  it('has contributions that add up from base to margin, as shown', async () => {
    const rows = page.locator('.contributions tbody tr')
    await rows.first().waitFor({ state: 'attached' })
    const shown = (await rows.locator('td:last-child').allTextContents()).map(read)
    const [base = NaN, ...rest] = shown
    const margin = rest.pop() ?? NaN
    const sum = rest.reduce((total, value) => total + value, base)
    // Each number is rounded to two decimals.
    expect(Math.abs(sum - margin)).toBeLessThanOrEqual(0.005 * (shown.length + 1))
    expect(read(await page.locator('[data-sum=base]').innerText())).toBe(base)
    expect(read(await page.locator('[data-sum=margin]').innerText())).toBe(margin)
  })

  it('has bars to the right of zero for what speaks for fraud, to the left for what speaks against it', async () => {
    const rows = await page.locator('.signed-row').evaluateAll(sidesOf)
    expect(rows.some(({ side }) => side === 'for')).toBe(true)
    for (const { side, left, right, zero } of rows) {
      if (side === 'for') expect(left).toBeCloseTo(zero, 0)
      else expect(right).toBeCloseTo(zero, 0)
    }
    const few = await page.locator('.signed-row').count()
    await page.getByRole('button', { name: /^All \d+ features$/ }).click()
    expect(await page.locator('.signed-row').count()).toBeGreaterThan(few)
    await page.getByRole('button', { name: /^The largest/ }).click()
  })

  it('comes out again, to the last bit', async () => {
    await page.getByRole('button', { name: 'Replay' }).click()
    await page.getByText('Identical to the last bit.').waitFor()
    await page.getByText(/\d entr(y|ies) of the log replayed in/).waitFor()
  })

  it('shows what the entity did around it, and marks this one', async () => {
    const here = page.locator('.timeline-point[aria-current]')
    await here.waitFor()
    expect(await here.getAttribute('href')).toBe(`/transactions/${declined.id}`)
    expect(await here.getAttribute('title')).toContain('declined')
    await page.getByRole('button', { name: 'Wider' }).click()
    await here.waitFor()
    await page.getByRole('group', { name: 'Move the timeline' }).getByRole('button', { name: 'Back' }).click()
    await here.waitFor()
  })

  it('leads to the alert that waits for its entity', async () => {
    expect(await page.locator('.alert-link').getAttribute('href')).toMatch(/^\/alerts\/\d+$/)
  })
})

describe('what if', () => {
  it('says what another amount would have changed', async () => {
    await amount().fill('1')
    await ask()
    const scores = page.locator('.what-if-beside tbody tr').first().locator('td')
    await scores.first().waitFor()
    const [before, after] = await scores.allInnerTexts()
    expect(before).toBe(declined.score?.toFixed(3))
    expect(after).not.toBe(before)
    await page.getByRole('row', { name: /^amount / }).last().waitFor()
  })

  it('says of each field what is wrong with it', async () => {
    complaints.refusalWanted = true
    await amount().fill('much')
    await page.getByLabel('tx_datetime').fill('today')
    await ask()
    await page.locator('.what-if-refused').waitFor()
    for (const field of [amount(), page.getByLabel('tx_datetime')]) {
      expect(await field.getAttribute('aria-invalid')).toBe('true')
      const words = await field.getAttribute('aria-describedby')
      expect(await page.locator(`[id="${words ?? ''}"]`).innerText()).toMatch(/^expected /)
    }
  })

  it('is accessible with mistakes', async () => {
    expect(await accessibilityFaults(page)).toEqual([])
    await page.getByRole('button', { name: 'Reset' }).click()
    expect(await amount().inputValue()).toBe(String(declined.amount))
    expect(await page.locator('.field-mistake').count()).toBe(0)
    complaints.refusalWanted = false
  })
})

describe('all of it', () => {
  it.each(['light', 'dark'] as const)('is accessible in %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme })
    await amount().fill('1')
    await ask()
    await page.locator('.what-if-beside').waitFor()
    expect(await accessibilityFaults(page)).toEqual([])
  })

  it('fits a phone', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth)).toBe(360)
    expect(await accessibilityFaults(page)).toEqual([])
    await page.setViewportSize({ width: 1440, height: 1000 })
  })
})

it('said nothing on the console, and asked nobody but its own server', () => {
  expect(complaints.heard).toEqual([])
})

function amount() {
  return page.getByLabel('tx_amount')
}

function ask() {
  return page.getByRole('button', { name: 'What if?' }).click()
}

/** A number as the page writes it, with a true minus. */
function read(text: string) {
  return Number(text.replace('−', '-'))
}

/** Where bars and their zero stand. Runs in the page. */
function sidesOf(groups: Element[]) {
  return groups.map((group) => {
    const bar = group.querySelector('.signed-bar')?.getBoundingClientRect()
    const zero = group.querySelector('.signed-zero')?.getBoundingClientRect().x ?? NaN
    return { side: group.getAttribute('data-side'), left: bar?.left ?? NaN, right: bar?.right ?? NaN, zero }
  })
}

const DECLINED_MAX_MS = 120_000

/** The demo declines a transaction now and then; this one not by a rule alone, so that its amount matters. */
async function firstDecline() {
  const deadline = Date.now() + DECLINED_MAX_MS
  while (Date.now() < deadline) {
    const answer = await fetch(`${server.url}/v1/decisions?outcome=decline&min_score=0.5&limit=1`)
    const { items } = (await answer.json()) as Schemas['DecisionPage']
    if (items[0]) return items[0]
    await sleep(500)
  }
  throw new Error(`nothing was declined in ${DECLINED_MAX_MS / 1_000} s`)
}

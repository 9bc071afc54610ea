/** Alerts in a real browser on the real binary: two analysts at one queue, and one who never touches the mouse. */
import { join } from 'node:path'
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
let ada: { page: Page; complaints: Complaints }
let grace: { page: Page; complaints: Complaints }

/** No rule of this detector fires in a quiet world, so the alerts are made by hand: payments from a blocked country. */
const CUSTOMERS = ['c1', 'c2', 'c3', 'c4']

beforeAll(async () => {
  visit = await Visit.to(async (folder) => (await Server.serve(join(folder, 'data'), { REDFLAG_DETECTOR: 'card' })).start())
  server = visit.server
  ada = await openAs('ada')
  grace = await openAs('grace')
})

afterAll(() => visit?.leave())

describe('an empty queue', () => {
  it('says that nothing waits', async () => {
    await ada.page.getByText('Nothing waits').waitFor()
  })
})

describe('the queue', () => {
  it('shows a new alert without being asked', async () => {
    for (const [at, customer] of CUSTOMERS.entries()) {
      await pay(`${customer}-1`, customer, 100 * (at + 1))
      await pay(`${customer}-2`, customer, 50)
    }
    await row(ada.page, 'c4').waitFor()
    expect(await ada.page.locator('.queue tbody tr').count()).toBe(4)
    await row(ada.page, 'c4').getByText('2 transactions, 2 declined').waitFor()
  })

  it('is in the order of what may be lost', async () => {
    expect(await ada.page.locator('.queue th[scope=row] a').allInnerTexts()).toEqual(['c4', 'c3', 'c2', 'c1'])
    const { items } = await ask<Schemas['AlertPage']>('/v1/alerts')
    const shown = await ada.page.locator('.queue td[data-kind=number] strong').allInnerTexts()
    expect(shown.map((text) => Number(text.replaceAll(',', '')))).toEqual(items.map(({ priority }) => priority))
  })

  itIsFitForAll(() => ada.page)
})

describe('two analysts at once', () => {
  it('tells the second what the first has done, and writes nothing over it', async () => {
    await Promise.all([ada, grace].map(({ page }) => openAlert(page, 'c4')))
    await grace.page.getByRole('textbox', { name: 'Note' }).fill('the customer says it was her')
    await ada.page.getByRole('button', { name: 'Close as fraud' }).click()
    await ada.page.getByText('Done, and in the history.').waitFor()
    grace.complaints.refusalWanted = true
    const close = grace.page.getByRole('button', { name: 'Close as genuine' })
    // Her page may have seen it already: then there is nothing left to close, and the note is still there.
    if (await close.isVisible()) await close.click({ timeout: 2_000 }).catch(() => undefined)
    await grace.page.locator('.alert-facts').getByText('as fraud').waitFor()
    expect(await grace.page.getByRole('textbox', { name: 'Note' }).inputValue()).toBe('the customer says it was her')
    const { alert, history } = await detailOf('c4')
    expect([alert.disposition, alert.closed_by, history.length]).toEqual(['fraud', 'ada', 1])
    for (const id of ['c4-1', 'c4-2']) {
      expect((await ask<Schemas['Decision']>(`/v1/decisions/${id}`)).label?.fraud).toBe(true)
    }
  })

  it('opens a closed one again with four eyes only', async () => {
    await grace.page.getByRole('button', { name: 'Ask to reopen' }).click()
    await grace.page.getByText('You asked to reopen it').waitFor()
    await ada.page.getByText("grace asks to reopen it. If you agree, it is grace's again.").waitFor()
    await ada.page.getByRole('button', { name: 'Agree to reopen' }).click()
    await grace.page.locator('.alert-facts').getByText('assigned to grace').waitFor()
    const notes = (await detailOf('c4')).history.map(({ note }) => note ?? null)
    expect(notes, 'what grace typed went with what she did').toEqual([null, 'the customer says it was her', null])
  })

  it('gives one alert to one of them', async () => {
    await Promise.all([ada, grace].map(({ page }) => page.goto(`${server.url}/alerts`)))
    await Promise.all([ada, grace].map(({ page }) => page.getByRole('button', { name: 'Next alert' }).click()))
    await Promise.all([ada, grace].map(({ page }) => page.waitForURL(/\/alerts\/\d+$/)))
    expect(ada.page.url()).not.toBe(grace.page.url())
    const { items } = await ask<Schemas['AlertPage']>('/v1/alerts?state=assigned')
    expect(items.map(({ assignee }) => assignee).toSorted()).toEqual(['ada', 'grace', 'grace'])
  })
})

describe('with keys alone', () => {
  it('one comes from the queue to a closed alert', async () => {
    await ada.page.goto(`${server.url}/alerts?state=open`)
    await row(ada.page, 'c1').waitFor()
    await ada.page.keyboard.press('j')
    await ada.page.keyboard.press('Enter')
    await ada.page.waitForURL(/\/alerts\/\d+$/)
    await ada.page.getByRole('heading', { level: 1, name: 'Alert on c1' }).waitFor()
    await ada.page.keyboard.press('g')
    await ada.page.getByText('Done, and in the history.').waitFor()
    expect((await detailOf('c1')).alert.disposition).toBe('genuine')
  })

  itIsFitForAll(() => ada.page)
})

it('said nothing on the console, and asked nobody but its own server', () => {
  expect([...ada.complaints.heard, ...grace.complaints.heard]).toEqual([])
})

async function openAs(name: string) {
  if (!visit) throw new Error('the browser is open')
  const opened = await visit.open('/alerts')
  await opened.page.getByRole('textbox', { name: 'Working as' }).fill(name)
  await opened.page.keyboard.press('Enter')
  return opened
}

async function pay(id: string, customer: string, amount: number) {
  const at = new Date().toISOString()
  const event = { transaction_id: id, tx_datetime: at, customer_id: customer, terminal_id: 't', tx_amount: amount, country: 'KP' }
  const answer = await fetch(`${server.url}/v1/transactions`, { method: 'POST', body: JSON.stringify(event) })
  expect(((await answer.json()) as Schemas['DecisionSummary']).outcome).toBe('decline')
}

function row(page: Page, entity: string) {
  return page.locator('.queue tbody tr', { has: page.getByRole('link', { name: entity, exact: true }) })
}

async function openAlert(page: Page, entity: string) {
  await page.getByRole('link', { name: entity, exact: true }).click()
  await page.getByRole('heading', { level: 1, name: `Alert on ${entity}` }).waitFor()
}

async function detailOf(entity: string) {
  const found = await Promise.all(['waiting', 'closed'].map((state) => ask<Schemas['AlertPage']>(`/v1/alerts?state=${state}&entity=${entity}`)))
  const [alert] = found.flatMap(({ items }) => items)
  if (!alert) throw new Error(`there is no alert of ${entity}`)
  return ask<Schemas['AlertDetail']>(`/v1/alerts/${alert.id}`)
}

async function ask<T>(path: string) {
  return (await (await fetch(server.url + path)).json()) as T
}

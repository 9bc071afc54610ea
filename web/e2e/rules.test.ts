/** Rules, lists, retraining and the audit log in a real browser: written, moved and taken back as a person would. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { components } from '../src/api/schema'
import type { Complaints } from './browser'
import { itIsFitForAll } from './quality'
import { Server } from './server'
import { Visit } from './visit'

type RulesInForce = components['schemas']['RulesInForce']

let visit: Visit | undefined
let server: Server
let folder: string
let page: Page
let complaints: Complaints

beforeAll(async () => {
  visit = await Visit.to(async (folder) => (await Server.serve(join(folder, 'rules'), { REDFLAG_DETECTOR: 'card' })).start())
  server = visit.server
  folder = visit.folder
  ;({ page, complaints } = await visit.open('/rules'))
})

afterAll(() => visit?.leave())

describe('a rule', () => {
  it('with a mistake is refused, with the place of it', async () => {
    complaints.refusalWanted = true
    await page.getByText('Rulebook 0 is in force').waitFor()
    await page.getByRole('button', { name: 'New rule' }).click()
    await page.getByLabel('Name', { exact: true }).fill('large')
    await page.getByLabel('Condition', { exact: true }).fill('tx_amont > 500.0')
    await page.getByLabel('Who', { exact: true }).fill('grace')
    await page.getByLabel('Why', { exact: true }).fill('case 17')
    await page.getByRole('button', { name: 'Publish', exact: true }).click()
    await page.locator('.condition-mistakes').getByText('did you mean tx_amount?').waitFor()
    expect(await page.locator('.condition-mistakes mark').innerText()).toBe('tx_amont')
    expect((await inForce()).number).toBe(0)
    complaints.refusalWanted = false
  })

  it('that is mended is tried on history', async () => {
    await post('t0')
    await page.getByLabel('Condition', { exact: true }).fill('tx_amount > 500.0')
    await page.getByRole('button', { name: 'Try on history' }).click()
    await page.locator('.trial-figures').getByText('of 1 transaction in 1 day', { exact: true }).waitFor()
    expect((await inForce()).number).toBe(0)
  })

  it('begins in the shadow', async () => {
    await page.getByRole('button', { name: 'Publish', exact: true }).click()
    await page.getByText('Done: rule large is new').waitFor()
    const { rules } = await inForce()
    expect(rules.at(-1)).toMatchObject({ name: 'large', stage: 'shadow', owner: 'grace', reason: 'case 17' })
    await post('t1')
    // No model decided, so the page is refused what its features added.
    complaints.refusalWanted = true
    await page.goto(`${server.url}/transactions/t1`)
    await page.locator('.rules-fired').getByText('shadow').waitFor()
    await page.goto(`${server.url}/rules`)
    await page.getByRole('button', { name: 'Move large' }).waitFor()
    complaints.refusalWanted = false
  })

  it('is moved through its stages', async () => {
    await page.getByRole('button', { name: 'Move large' }).click()
    await page.getByLabel('Share in percent').fill('100')
    await page.getByLabel('Why', { exact: true }).fill('no complaints')
    await page.getByRole('button', { name: 'Move to partial' }).click()
    await page.getByText('decides for 100.0 % of the keys').waitFor()
    await page.getByRole('button', { name: 'Move large' }).click()
    await page.getByLabel('Why', { exact: true }).fill('for everybody')
    await page.getByRole('button', { name: 'Move to live' }).click()
    await page.getByText('Done: rule large is live').waitFor()
    expect((await post('t2')).outcome).toBe('review')
  })
})

describe('the policy', () => {
  it('is not changed over the head of somebody else', async () => {
    complaints.refusalWanted = true
    await page.getByRole('button', { name: 'Change the policy' }).click()
    await page.getByLabel('A review costs').fill('7')
    await page.getByLabel('Why', { exact: true }).fill('reviews cost more')
    await ask('POST', '/v1/rules/large/stage', { stage: 'retired', by: 'bob', reason: 'case 18' })
    await page.getByRole('button', { name: 'Publish', exact: true }).click()
    await page.getByText(/by bob, .* UTC: .*large.* \(case 18\)/).waitFor()
    await page.getByRole('button', { name: 'Publish all the same' }).click()
    await page.locator('.policy-figures').getByText('7.00 EUR').waitFor()
    expect((await inForce()).rules.at(-1)?.stage).toBe('retired')
    complaints.refusalWanted = false
  })
})

describe('a list', () => {
  it('is made, and takes ten thousand values from a file', async () => {
    await page.getByRole('button', { name: 'New list' }).click()
    await page.getByLabel('Name', { exact: true }).fill('blocked')
    await page.getByLabel('Field', { exact: true }).selectOption('terminal_id')
    await page.getByLabel('Why', { exact: true }).fill('case 17')
    await page.getByRole('button', { name: 'Publish', exact: true }).click()
    await page.getByRole('link', { name: 'blocked', exact: true }).click()
    await page.getByText('Nothing is on it yet.').waitFor()

    const file = join(folder, 'skimmed.csv')
    const rows = Array.from({ length: 10_000 }, (_, i) => `T${i},skimmer`)
    await writeFile(file, ['value,reason', ...rows].join('\n'))
    await page.getByRole('button', { name: 'Put values on' }).click()
    await page.getByLabel('From a file').setInputFiles(file)
    await page.getByLabel('Why', { exact: true }).fill('list of the network')
    await page.getByRole('button', { name: 'Put 10,000 on' }).click()
    await page.getByText('100 of 10,000 values are shown').waitFor()
    expect((await post('t3')).outcome).toBe('decline')
  })

  it('is searched, and a value taken off', async () => {
    await page.getByLabel('Values that contain').fill('T77')
    await page.getByText('100 of 111 values are shown').waitFor()
    await page.getByLabel('Values that contain').fill('T7777')
    await page.getByRole('checkbox', { name: 'Choose T7777' }).check()
    await page.getByRole('button', { name: 'Take 1 off' }).click()
    await page.getByLabel('Why', { exact: true }).fill('was replaced')
    await page.getByRole('button', { name: 'Take off', exact: true }).click()
    await page.getByText('None of 9,999 values contains “T7777”.').waitFor()
    await page.getByLabel('Values that contain').fill('')
    await page.getByRole('row', { name: /T0/ }).waitFor()
  })

  itIsFitForAll(() => page)
})

describe('the history', () => {
  it('leads back to what the detector file says', async () => {
    await page.getByRole('link', { name: 'Rules', exact: true }).first().click()
    await page.getByRole('button', { name: 'Publish again rulebook 0' }).click()
    await page.getByLabel('Why', { exact: true }).fill('only tried')
    await page.getByRole('button', { name: 'Publish again', exact: true }).click()
    await page.getByText('Done: back to rulebook 0').waitFor()
    expect((await inForce()).lists.map(({ name }) => name)).toEqual(['blocked_countries'])
  })

  itIsFitForAll(() => page)
})

describe('the audit log', () => {
  it('has what was done to rules, and is narrowed to it', async () => {
    await page.getByRole('link', { name: 'Audit' }).click()
    await page.getByLabel('What', { exact: true }).fill('rule.*')
    await page.getByRole('button', { name: 'Show' }).click()
    await page.getByRole('cell', { name: 'rule.put' }).first().waitFor()
    const actions = await page.locator('.audit-entries tbody td:nth-child(4)').allInnerTexts()
    expect(new Set(actions)).toEqual(new Set(['rule.backtest', 'rule.put', 'rule.stage']))
  })

  itIsFitForAll(() => page)
})

describe('retraining', () => {
  it('says why nothing is trained again here', async () => {
    await page.getByRole('link', { name: 'Retraining' }).click()
    await page.getByText('Nothing is trained again here.').waitFor()
    expect(await page.getByRole('button', { name: 'Start a run' }).isDisabled()).toBe(true)
  })

  itIsFitForAll(() => page)

  it('said nothing on the console, and asked nobody but its own server', () => {
    expect(complaints.heard).toEqual([])
  })
})

async function inForce() {
  return (await ask('GET', '/v1/rules')) as RulesInForce
}

/** A transaction of 600 at the terminal T1. */
async function post(transaction_id: string) {
  const where = { customer_id: 'C1', terminal_id: 'T1', channel: 'chip', country: 'DE' }
  const event = { transaction_id, tx_datetime: '2026-01-01T12:00:00Z', tx_amount: 600, ...where }
  return (await ask('POST', '/v1/transactions', event)) as { outcome: string }
}

async function ask(method: string, path: string, body?: unknown): Promise<unknown> {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(server.url + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`)
  return answer.json()
}

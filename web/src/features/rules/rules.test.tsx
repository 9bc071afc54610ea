import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { findOutWho, forgetWho } from '@/api/access'
import { backtestReport, detector, listPage, rule, rulebookNote, rulesInForce } from '@/api/samples'
import { readEntries } from './entries'
import { ListView } from './ListView'
import { excerpt, mistakesOf } from './mistakes'
import { RulesView } from './RulesView'
import { asInstant, asTyped, isOver } from './words'

type Answer = object | ((body: unknown) => Response)

/** Answers by method and path; what has none is refused. */
function serve(answers: Record<string, Answer> = {}) {
  const all: Record<string, Answer> = {
    'GET /v1/rules': rulesInForce(),
    'GET /v1/rulebooks': { rulebooks: [rulebookNote(3), rulebookNote(2, { change: 'list blocked is new' })] },
    'GET /v1/detector': detector(),
    'GET /v1/lists/blocked': listPage(['T1', 'T2']),
    ...answers,
  }
  const ask = vi.fn((path: string, init?: RequestInit) => {
    const answer = all[`${init?.method ?? 'GET'} ${path.split('?')[0] ?? ''}`]
    if (answer === undefined) return Promise.resolve(refused(503, 'unavailable'))
    const body: unknown = typeof init?.body === 'string' ? JSON.parse(init.body) : null
    return Promise.resolve(typeof answer === 'function' ? answer(body) : Response.json(answer))
  })
  vi.stubGlobal('fetch', ask)
  return ask
}

function refused(status: number, title: string, errors: readonly object[] = []) {
  return Response.json({ type: 'about:blank', title, status, detail: 'so it is', errors }, { status })
}

/** What was sent to a door, in its order. */
function sent(ask: ReturnType<typeof serve>, door: string) {
  const calls = ask.mock.calls.filter(([path, init]) => `${init?.method ?? 'GET'} ${path}` === door)
  return calls.map(([, init]) => JSON.parse(init?.body as string) as Record<string, unknown>)
}

const press = (name: string | RegExp) => fireEvent.click(screen.getByRole('button', { name }))
const type = (label: string, value: string) => fireEvent.change(screen.getByLabelText(label), { target: { value } })

beforeEach(() => {
  forgetWho()
  localStorage.clear()
})

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

describe('the page of rules', () => {
  it('shows what holds, and whose it is', async () => {
    serve({ 'GET /v1/rules': rulesInForce({ rules: [rule('large', { stage: 'partial', share: 0.1, expires: '2027-01-01T00:00:00Z' })] }) })
    render(<RulesView />)
    const shown = within((await screen.findByRole('heading', { name: 'large' })).closest('li') ?? document.body)
    for (const text of ['tx_amount > 500.0', 'partial', 'decides for 10.0 % of the keys', 'until 2027-01-01 00:00:00 UTC', 'owner ada', 'case 17']) {
      expect(shown.getByText(text)).toBeTruthy()
    }
    expect(screen.getByText('Rulebook 3 is in force, by ada since 2026-01-01 00:00:00 UTC.')).toBeTruthy()
    expect(screen.getByText('Review from a score of').nextSibling?.textContent).toBe('0.500')
    expect(screen.getByRole('link', { name: 'blocked' }).getAttribute('href')).toBe('/rules/lists/blocked')
  })

  it('narrows rules to a stage', async () => {
    serve()
    render(<RulesView />)
    await screen.findByRole('heading', { name: 'large' })
    press('shadow 1')
    expect(screen.queryByRole('heading', { name: 'large' })).toBeNull()
    expect(screen.getByRole('heading', { name: 'night' })).toBeTruthy()
  })

  it('writes a rule for the rulebook that was shown', async () => {
    const ask = serve({ 'PUT /v1/rules/tiny': rulebookNote(4, { change: 'rule tiny is new' }) })
    render(<RulesView />)
    await screen.findByRole('heading', { name: 'large' })
    press('New rule')
    press('Publish')
    for (const words of ['Give it a name.', 'Say when it fires.', 'Say who you are.', 'Say why.']) expect(screen.getByText(words)).toBeTruthy()
    type('Name', 'tiny')
    type('Condition', 'tx_amount < 1.0')
    type('Who', 'Ann')
    type('Why', 'case 3')
    press('Publish')
    expect(await screen.findByText(/Done: rule tiny is new\. Rulebook 4 holds/)).toBeTruthy()
    const [request] = sent(ask, 'PUT /v1/rules/tiny')
    expect(request).toMatchObject({ when: 'tx_amount < 1.0', outcome: 'review', stage: 'shadow', by: 'Ann', reason: 'case 3', after: 3 })
  })

  it('lets history say what a rule would have done, and changes nothing', async () => {
    const ask = serve({ 'POST /v1/rules/backtest': backtestReport() })
    render(<RulesView />)
    await screen.findByRole('heading', { name: 'large' })
    press('New rule')
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Try on history' }).disabled).toBe(true)
    type('Condition', 'tx_amount > 300.0')
    press('Try on history')
    const figure = async (name: string) => (await screen.findByText(name)).nextSibling?.textContent
    expect(await figure('Alerts a day')).toBe('7.8 → 8.3')
    expect(await figure('It fires')).toBe('98 of 20,000 transactions in 35 days')
    expect(await figure('Precision')).toBe('14.9 % 13 frauds of 87 known')
    expect(await figure('Genuine ones reviewed')).toMatch(/^14 worth 5,359\.92 /)
    expect(screen.getByRole('img', { name: 'Alerts by day, at the most 25' })).toBeTruthy()
    expect(screen.getByRole('row', { name: 'policy 81 17 191 28.0 %' })).toBeTruthy()
    expect(sent(ask, 'POST /v1/rules/backtest')).toEqual([{ when: 'tx_amount > 300.0', outcome: 'review' }])
    type('Condition', 'tx_amount > 30.0')
    expect(screen.getByText('What is below is of the rule as it was.')).toBeTruthy()
    expect(ask.mock.calls.every(([, init]) => init?.method !== 'PUT')).toBe(true)
  })

  it('says what is wrong with a rule that cannot be tried', async () => {
    const errors = [{ field: 'rule `rule`, column 1', value: 'unknown name `tx_amoun`', expected: 'did you mean `tx_amount`?' }]
    serve({ 'POST /v1/rules/backtest': () => refused(422, 'a rulebook with mistakes', errors) })
    render(<RulesView />)
    await screen.findByRole('heading', { name: 'large' })
    press('New rule')
    type('Condition', 'tx_amoun > 300.0')
    press('Try on history')
    expect((await screen.findByRole('alert')).textContent).toContain('rule `rule`, column 1: unknown name tx_amoun – did you mean tx_amount?')
  })

  it('shows every mistake of a condition at its place', async () => {
    const errors = [
      { field: 'rule `tiny`, column 1', value: 'unknown name `tx_amont`', expected: 'did you mean `tx_amount`?' },
      { field: 'rule `tiny`, column 19', value: 'unknown name `x`', expected: 'a rulebook that fits the detector' },
      { field: 'rule `tiny`', value: '`expires` is "soon"', expected: 'a rulebook that fits the detector' },
    ]
    serve({ 'PUT /v1/rules/tiny': () => refused(422, 'a rulebook with mistakes', errors) })
    render(<RulesView />)
    await screen.findByRole('heading', { name: 'large' })
    press('New rule')
    type('Name', 'tiny')
    type('Condition', 'tx_amont < 1.0 && x > 2.0')
    type('Who', 'Ann')
    type('Why', 'case 3')
    press('Publish')
    const place = await screen.findByRole('button', { name: /^column 1 tx_amont/ })
    expect(within(place).getByText('tx_amont').tagName).toBe('MARK')
    expect(within(screen.getByRole('button', { name: /^column 19/ })).getByText('x').tagName).toBe('MARK')
    expect(screen.getByText('One thing is', { exact: false }).parentElement?.textContent).toContain('expires is "soon"')
    expect(screen.getByLabelText('Condition').getAttribute('aria-invalid')).toBe('true')
  })

  it('moves a rule, with a share where it is partial', async () => {
    const ask = serve({ 'POST /v1/rules/night/stage': rulebookNote(4, { change: 'rule night is partial' }) })
    render(<RulesView />)
    await screen.findByRole('heading', { name: 'night' })
    press('Move night')
    type('Who', 'Ann')
    type('Why', 'no complaints')
    press('Move to partial')
    expect(screen.getByText('Say for how many percent, 0 to 100.')).toBeTruthy()
    type('Share in percent', '10')
    press('Move to partial')
    expect(await screen.findByText(/Done: rule night is partial/)).toBeTruthy()
    expect(sent(ask, 'POST /v1/rules/night/stage')).toEqual([{ stage: 'partial', share: 0.1, by: 'Ann', reason: 'no complaints', after: 3 }])
  })

  it('says who was faster, and publishes for that rulebook only when told so again', async () => {
    let held = rulesInForce()
    const ask = serve({
      'GET /v1/rules': () => Response.json(held),
      'PUT /v1/policy': (body: unknown) => {
        if ((body as { after: number }).after === 4) return Response.json(rulebookNote(5, { change: 'the policy changed' }))
        held = rulesInForce({ number: 4, published: rulebookNote(4, { by: 'bob', change: 'rule large is live', reason: 'case 18' }) })
        return refused(409, 'cannot be changed')
      },
    })
    render(<RulesView />)
    await screen.findByRole('heading', { name: 'large' })
    press('Change the policy')
    type('Review from', '0.4')
    type('Who', 'Ann')
    type('Why', 'too few')
    press('Publish')
    expect(await screen.findByText(/Rulebook 4 by bob, 2026-01-01 00:00:00 UTC: rule large is live \(case 18\)/)).toBeTruthy()
    press('Publish all the same')
    expect(await screen.findByText(/Done: the policy changed/)).toBeTruthy()
    expect(sent(ask, 'PUT /v1/policy').map(({ after }) => after)).toEqual([3, 4])
    expect(sent(ask, 'PUT /v1/policy')[0]?.policy).toEqual({ basis: { thresholds: { review: 0.4, decline: 0.9 } }, daily_review_budget: null })
  })

  it('knows of its own change before it has asked again', async () => {
    const ask = serve({ 'POST /v1/rulebooks/2/restore': rulebookNote(4), 'POST /v1/rulebooks/0/restore': rulebookNote(5) })
    render(<RulesView />)
    for (const number of [2, 0]) {
      fireEvent.click(await screen.findByRole('button', { name: `Publish again rulebook ${number}` }))
      type('Who', 'Ann')
      type('Why', 'too many alerts')
      press('Publish again')
      await waitFor(() => expect(screen.queryByRole('dialog')).toBeNull())
    }
    expect(sent(ask, 'POST /v1/rulebooks/2/restore')[0]?.after).toBe(3)
    expect(sent(ask, 'POST /v1/rulebooks/0/restore')[0]?.after).toBe(4)
  })

  it('publishes an earlier rulebook again', async () => {
    const ask = serve({ 'POST /v1/rulebooks/2/restore': rulebookNote(4, { change: 'back to rulebook 2' }) })
    render(<RulesView />)
    fireEvent.click(await screen.findByRole('button', { name: 'Publish again rulebook 2' }))
    type('Who', 'Ann')
    type('Why', 'too many alerts')
    press('Publish again')
    expect(await screen.findByText(/Done: back to rulebook 2/)).toBeTruthy()
    expect(sent(ask, 'POST /v1/rulebooks/2/restore')).toEqual([{ by: 'Ann', reason: 'too many alerts', after: 3 }])
  })

  it('lets analysts look, and says why no more', async () => {
    serve({ 'GET /v1/me': { name: 'anna', roles: ['analyst'], authentication: 'key' } })
    await findOutWho()
    render(<RulesView />)
    await screen.findByRole('heading', { name: 'large' })
    expect(screen.getByText('You can look; changing rules takes the role engineer; anna has analyst.')).toBeTruthy()
    expect(screen.queryByRole('button', { name: /New|Change|Move|again/ })).toBeNull()
  })
})

describe('a list', () => {
  it('is searched, put on and taken off', async () => {
    const ask = serve({
      'POST /v1/lists/blocked/entries': rulebookNote(4, { change: '2 values were put on' }),
      'POST /v1/lists/blocked/removals': rulebookNote(5, { change: '1 value was taken off' }),
    })
    render(<ListView name="blocked" />)
    await screen.findByRole('row', { name: /T1/ })
    type('Values that contain', 'T2')
    await waitFor(() => expect(ask.mock.calls.some(([path]) => path === '/v1/lists/blocked?contains=T2&limit=100')).toBe(true))

    press('Put values on')
    fireEvent.change(screen.getByRole('textbox', { name: 'Values' }), { target: { value: 'T3\nT4\n' } })
    type('Expires, UTC', '2027-01-01T00:00:00')
    type('Who', 'Ann')
    type('Why', 'case 3')
    press('Put 2 on')
    await screen.findByText(/Done: 2 values were put on/)
    const expires = '2027-01-01T00:00:00Z'
    expect(sent(ask, 'POST /v1/lists/blocked/entries')[0]).toMatchObject({ entries: [{ value: 'T3', expires }, { value: 'T4', expires }], after: 3 })

    fireEvent.click(await screen.findByRole('checkbox', { name: 'Choose T1' }))
    press('Take 1 off')
    type('Why', 'replaced')
    press('Take off')
    await screen.findByText(/Done: 1 value was taken off/)
    expect(sent(ask, 'POST /v1/lists/blocked/removals')[0]).toMatchObject({ values: ['T1'], by: 'Ann', reason: 'replaced' })
  })

  it('that is not there says so', async () => {
    serve({ 'GET /v1/lists/blocked': () => refused(404, 'no such list') })
    render(<ListView name="blocked" />)
    expect(await screen.findByText('There is no such list')).toBeTruthy()
  })

  it('can be added to by analysts, and changed by engineers', async () => {
    serve({ 'GET /v1/me': { name: 'anna', roles: ['analyst'], authentication: 'key' } })
    await findOutWho()
    render(<ListView name="blocked" />)
    await screen.findByRole('row', { name: /T1/ })
    expect(screen.getByRole('button', { name: 'Put values on' })).toBeTruthy()
    expect(screen.queryByRole('button', { name: 'Drop' })).toBeNull()
    expect(screen.getByText(/^You can put values on and take them off; changing the list itself takes the role engineer/)).toBeTruthy()
    press('Put values on')
    expect(screen.queryByLabelText('Who')).toBeNull()
  })
})

describe('pasted values', () => {
  it.each([
    ['one a line', 'T1\r\n\r\n T2 \n', ['T1', 'T2']],
    ['with commas, where no column is named', 'a,b\nc', ['a,b', 'c']],
    ['of a file that begins with a mark', '\uFEFFvalue\nT1\n', ['T1']],
    ['in quotes', 'value,reason\n"T ""1""","one,\ntwo"\nT2,', ['T "1"', 'T2']],
  ])('%s', (_, text, values) => {
    const { entries, mistakes } = readEntries(text)
    expect(mistakes).toEqual([])
    expect(entries.map(({ value }) => value)).toEqual(values)
  })

  it('keep their reason, owner and expiry', () => {
    expect(readEntries('Expires,value,owner,reason\n2027-01-01T00:00:00Z,T1,ada,skimmer').entries).toEqual([
      { value: 'T1', reason: 'skimmer', owner: 'ada', expires: '2027-01-01T00:00:00Z' },
    ])
  })

  it('say every mistake with its line', () => {
    const { mistakes } = readEntries('value,why\n"T\n1",a\n,b\nT2\n')
    expect(mistakes).toEqual(['the column why is unknown; columns are value, reason, owner, expires', 'line 4 has no value', 'line 5 has 1 of 2 columns'])
  })
})

describe('words', () => {
  it('mark the place of a mistake, by characters', () => {
    expect(excerpt("country == '🏴' && tx_amont > 1.0", 19)).toEqual({ before: "country == '🏴' && ", marked: 'tx_amont', after: ' > 1.0' })
    expect(excerpt('amount >', 9)).toEqual({ before: 'amount >', marked: ' ', after: '' })
  })

  it('know the column of a mistake', () => {
    expect(mistakesOf({ errors: [{ field: 'rule `a, column 3`, column 7', value: 'x', expected: 'y' }] })).toEqual([
      { of: 'rule `a, column 3`', column: 7, words: 'x', hint: 'y' },
    ])
  })

  it('keep a time as it was through a control of dates', () => {
    expect(asInstant(asTyped('2027-01-01T01:30:05+01:00'))).toBe('2027-01-01T00:30:05Z')
    expect(asInstant('2027-01-01T00:30')).toBe('2027-01-01T00:30:00Z')
    expect(asInstant(asTyped(null))).toBeNull()
  })

  it('compare an expiry with the time of events', () => {
    expect(isOver('2018-08-08T00:00:00Z', '2018-08-08T00:00:00Z')).toBe(true)
    expect(isOver('2018-08-09T00:00:00Z', '2018-08-08T00:00:00Z')).toBe(false)
  })
})

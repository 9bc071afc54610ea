import { cleanup, fireEvent, render, screen, within } from '@testing-library/react'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { alert, contributions, decision, detector, fullDecision, whatIf } from '@/api/samples'
import { TransactionView } from './TransactionView'

type Answer = () => Promise<Response>

/** Answers by method and path without its query; of several answers to one, each once and the last for ever. */
function serve(answers: Record<string, Answer | Answer[]>) {
  const left = new Map(Object.entries({ ...around, ...answers }).map(([door, answer]) => [door, [answer].flat()]))
  const ask = vi.fn((path: string, init?: RequestInit) => {
    const door = `${init?.method ?? 'GET'} ${path.split('?')[0] ?? ''}`
    const waiting = left.get(door)
    const next = waiting && waiting.length > 1 ? waiting.shift() : waiting?.[0]
    return next ? next() : Promise.reject(new Error(`unexpected request ${door}`))
  })
  vi.stubGlobal('fetch', ask)
  return ask
}

/** What was sent to a door, read back. */
function sent(ask: ReturnType<typeof serve>, path: string): unknown {
  const body = ask.mock.calls.find(([asked, init]) => asked === path && init?.method === 'POST')?.[1]?.body
  return typeof body === 'string' ? JSON.parse(body) : undefined
}

const json = (body: unknown, status = 200) => () => Promise.resolve(Response.json(body, { status }))
const problem = (status: number, title: string, more = {}) => json({ type: 'about:blank', title, status, ...more }, status)

/** What the page asks for around every decision. */
const around: Record<string, Answer> = {
  'GET /v1/detector': json(detector()),
  'GET /v1/decisions/7/contributions': json(contributions()),
  'GET /v1/decisions': json({ items: [], next_cursor: null }),
  'GET /v1/alerts': json({ items: [], next_cursor: null }),
}

const open = async (answers: Record<string, Answer | Answer[]> = {}, decision = fullDecision('7', 'decline')) => {
  const ask = serve({ 'GET /v1/decisions/7': json(decision), ...answers })
  render(<TransactionView id="7" />)
  await screen.findByText('declined', { selector: '.verdict *' })
  return ask
}

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

describe('TransactionView', () => {
  it('shows the decision, its event and its features', async () => {
    serve({ 'GET /v1/decisions/7': json(fullDecision('7', 'decline')) })
    render(<TransactionView id="7" />)
    expect(screen.getByRole('status').textContent).toBe('Loading')
    expect(await screen.findByText('declined', { selector: '.verdict *' })).toBeTruthy()
    expect(screen.getByText('3156', { selector: 'dd' })).toBeTruthy()
    expect(screen.getByRole('row', { name: /^customer_count_1d.* 3$/ })).toBeTruthy()
    expect(screen.getByRole('row', { name: /^terminal_risk_7d.* missing$/ })).toBeTruthy()
  })

  it('says what the detector makes of fields, features and rules', async () => {
    await open({}, { ...fullDecision('7', 'decline'), rules: ['~very_large', 'of_old', 'list:of_old'] })
    expect(await screen.findByText('an entity')).toBeTruthy()
    expect(screen.getByText('category: chip, online; may be missing')).toBeTruthy()
    expect(screen.getByText(/in 7 days up to 3 days ago/)).toBeTruthy()
    expect(screen.getByText('by terminal_id, window 7d, delay 3d')).toBeTruthy()
    expect(screen.getByText('amount > 220.0')).toBeTruthy()
    expect(screen.getByText('The detector has no such rule any more.')).toBeTruthy()
    expect(screen.getByText('The detector has no such list any more.')).toBeTruthy()
  })

  it('finds features by their name and by their words', async () => {
    await open()
    await screen.findByText('by terminal_id, window 7d, delay 3d')
    const find = (value: string) => fireEvent.change(screen.getByLabelText('Find a feature'), { target: { value } })
    const names = () => screen.getAllByRole('row', { name: /^(customer|terminal)_\w+ ?(transactions of|share of)/ }).length
    find('RISK')
    expect(names()).toBe(1)
    find('share of fraud')
    expect(names()).toBe(1)
    expect(screen.queryByRole('row', { name: /^customer_count_1d transactions/ })).toBeNull()
    find('delay 3d')
    expect(names()).toBe(1)
    find('nothing of this')
    expect(screen.getByText('No such feature')).toBeTruthy()
  })

  it('shows the decision where the detector does not come', async () => {
    const ask = await open({ 'GET /v1/detector': [problem(503, 'Not ready'), json(detector())] })
    expect(await screen.findByText('What the detector reads did not come')).toBeTruthy()
    expect(screen.getByRole('row', { name: 'customer_count_1d 3' })).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }))
    expect(await screen.findByRole('form', { name: 'What if' })).toBeTruthy()
    expect(ask).toHaveBeenCalled()
  })

  it('leads to the alert that waits, of several the one around it', async () => {
    const later = { ...alert(4, '596'), first_event_time: '2018-09-01T00:00:00Z', last_event_time: '2018-09-01T00:00:00Z' }
    const ask = await open({ 'GET /v1/alerts': json({ items: [later, alert(9, '596')], next_cursor: null }) })
    const link = await screen.findByRole('link', { name: 'Alert on 596 waits: 3 transactions, with nobody yet' })
    expect(link.getAttribute('href')).toBe('/alerts/9')
    expect(ask.mock.calls.some(([path]) => path === '/v1/alerts?entity=596&state=waiting')).toBe(true)
  })

  it('says that no alert waits, or that it is not known', async () => {
    await open()
    expect(await screen.findByText('No alert waits')).toBeTruthy()
    cleanup()
    await open({ 'GET /v1/alerts': problem(503, 'Not ready') })
    expect(await screen.findByText('Alerts did not come')).toBeTruthy()
  })

  it('says that there is no such transaction', async () => {
    serve({ 'GET /v1/decisions/nobody': problem(404, 'Not found') })
    render(<TransactionView id="nobody" />)
    expect(await screen.findByText('No such transaction')).toBeTruthy()
  })

  it('says that the server does not answer, and asks again', async () => {
    serve({ 'GET /v1/decisions/7': [() => Promise.reject(new TypeError('Failed to fetch')), json(fullDecision('7'))] })
    render(<TransactionView id="7" />)
    expect(await screen.findByText('The server did not answer')).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }))
    expect(await screen.findByText('approved', { selector: '.verdict *' })).toBeTruthy()
  })

  it('posts a label and shows that it was taken', async () => {
    const labelled = { ...fullDecision('7'), label: { fraud: true, known_at: '2026-01-02T03:04:05Z' } }
    const ask = serve({
      'GET /v1/decisions/7': [json(fullDecision('7')), json(labelled)],
      'POST /v1/labels': json({ transaction_id: '7', fraud: true }),
    })
    render(<TransactionView id="7" />)
    fireEvent.click(await screen.findByRole('button', { name: 'Fraud' }))
    expect(await screen.findByText('Labelled as fraud.')).toBeTruthy()
    expect(await screen.findByText('known at 2026-01-02 03:04:05 UTC')).toBeTruthy()
    expect(screen.getByRole('button', { name: 'Fraud' }).getAttribute('aria-pressed')).toBe('true')
    expect(sent(ask, '/v1/labels')).toEqual({ transaction_id: '7', fraud: true })
  })

  it('shows why a label was refused, field by field', async () => {
    const errors = [{ field: 'fraud', value: true, expected: 'a label not given before' }]
    serve({
      'GET /v1/decisions/7': json(fullDecision('7')),
      'POST /v1/labels': problem(422, 'Label refused', { detail: 'it contradicts another', errors }),
    })
    render(<TransactionView id="7" />)
    fireEvent.click(await screen.findByRole('button', { name: 'Fraud' }))
    expect(await screen.findByText(/Label refused: it contradicts another/)).toBeTruthy()
    expect(screen.getByText(/a label not given before/)).toBeTruthy()
  })
})

describe('the reasons', () => {
  it('are bars to both sides of zero, in a table from base to margin too', async () => {
    await open()
    const table = await screen.findByRole('table', { name: 'Contributions from base to margin' })
    const cells = within(table).getAllByRole('row').slice(1).map((row) => [row.firstChild?.textContent, row.lastChild?.textContent])
    expect(cells).toEqual([
      ['base', '−3.00'],
      ['amount', '+2.50'],
      ['terminal_risk_7d', '−0.75'],
      ['customer_count_1d', '+0.25'],
      ['margin', '−1.00'],
    ])
    const zero = Number(document.querySelector('.signed-zero')?.getAttribute('x1'))
    const bars = [...document.querySelectorAll('.signed-bar')].map((bar) => [Number(bar.getAttribute('x')), Number(bar.getAttribute('width'))])
    expect(bars[0]?.[0]).toBeCloseTo(zero)
    expect((bars[1]?.[0] ?? 0) + (bars[1]?.[1] ?? 0)).toBeCloseTo(zero)
    expect([...document.querySelectorAll('.signed-row')].map((row) => row.getAttribute('data-side'))).toEqual(['for', 'against', 'for'])
  })

  it('begin with the largest twelve, the rest as one, and all on demand', async () => {
    const many = Array.from({ length: 15 }, (_, i) => ({ feature: `f${i}`, value: i, contribution: 0.5, text: `f${i} is ${i}` }))
    await open({ 'GET /v1/decisions/7/contributions': json({ base: -3, margin: 4.5, contributions: many }) })
    expect(await screen.findByRole('row', { name: '3 others together +1.50' })).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'All 15 features' }))
    expect(screen.getByRole('row', { name: 'f14 f14 is 14 +0.50' })).toBeTruthy()
    expect(screen.queryByRole('row', { name: /others/ })).toBeNull()
    expect(screen.getByRole('button', { name: 'The largest 12' }).getAttribute('aria-expanded')).toBe('true')
  })

  it('are those that were stored where the model is gone, and it says why', async () => {
    const text = "amount is 6.2 times the customer's 30-day mean"
    const reasons = [{ feature: 'customer_mean_30d', value: 12.5, contribution: 1.318, text }]
    const gone = problem(409, 'cannot be explained', { detail: 'it was decided by gbdt-1, which is gone' })
    await open({ 'GET /v1/decisions/7/contributions': gone }, { ...fullDecision('7', 'decline'), reasons })
    expect(await screen.findByText(/it was decided by gbdt-1, which is gone/)).toBeTruthy()
    expect(screen.getByText(text)).toBeTruthy()
    expect(screen.getByText('+1.32')).toBeTruthy()
  })
})

describe('the replay', () => {
  const replayed = async (answer: Answer) => {
    await open({ 'POST /v1/decisions/7/replay': answer })
    fireEvent.click(screen.getByRole('button', { name: 'Replay' }))
  }

  it('says that the same came out, and what that took', async () => {
    await replayed(json({ identical: true, differences: [], entries: 1234, seconds: 0.347 }))
    expect(await screen.findByText(/Identical to the last bit/)).toBeTruthy()
    expect(screen.getByText(/1,234 entries of the log replayed in 0.35 s/)).toBeTruthy()
  })

  it('says what differs', async () => {
    await replayed(json({ identical: false, differences: ['score was 0.5, is 0.6', 'outcome was review, is decline'], entries: 1, seconds: 0.001 }))
    expect(await screen.findByText(/It comes out otherwise/)).toBeTruthy()
    expect(screen.getByText(/1 entry of the log replayed in less than 0.01 s/)).toBeTruthy()
    expect(screen.getByText('score was 0.5, is 0.6')).toBeTruthy()
    expect(screen.getByText('outcome was review, is decline')).toBeTruthy()
  })

  it('says why it cannot be', async () => {
    await replayed(problem(409, 'cannot be recomputed', { detail: 'the log of this service is a Kafka topic' }))
    expect(await screen.findByText(/cannot be recomputed: the log of this service is a Kafka topic/)).toBeTruthy()
  })
})

describe('what if', () => {
  const event = {
    transaction_id: '7',
    tx_datetime: '2018-08-08T14:03:22Z',
    tx_amount: 418.76,
    customer_id: '596',
    terminal_id: '3156',
    channel: 'online',
    distance: 3.5,
  }
  const opened = async (answer: Answer) => {
    const ask = await open({ 'POST /v1/decisions/7/what-if': answer }, { ...fullDecision('7', 'decline'), event })
    const form = within(await screen.findByRole('form', { name: 'What if' }))
    const enter = (label: string, value: string) => fireEvent.change(form.getByLabelText(label), { target: { value } })
    return { ask, form, enter }
  }

  it('sends only what was changed: numbers as numbers, an emptied field as null', async () => {
    const { ask, form, enter } = await opened(json(whatIf()))
    expect(form.getByRole('button', { name: 'What if?' }).hasAttribute('disabled')).toBe(true)
    expect(form.getByLabelText('transaction_id').hasAttribute('readonly')).toBe(true)
    expect(form.queryByLabelText('tx_fraud')).toBeNull()
    enter('tx_amount', '12.50')
    enter('channel', 'chip')
    enter('distance', '')
    enter('terminal_id', '3157')
    enter('terminal_id', '3156')
    expect(form.getByText('● changed; was 418.76')).toBeTruthy()
    expect(form.getByText('3 changed')).toBeTruthy()
    fireEvent.click(form.getByRole('button', { name: 'What if?' }))
    await screen.findByText(/With tx_amount 12.5, channel chip, no distance it would have been approved instead of declined, at 0.020 instead of 0.910/)
    expect(sent(ask, '/v1/decisions/7/what-if')).toEqual({ changes: { tx_amount: 12.5, channel: 'chip', distance: null } })
  })

  it('shows before and after side by side, and what changed', async () => {
    const { form, enter } = await opened(json(whatIf()))
    enter('tx_amount', '12.5')
    fireEvent.click(form.getByRole('button', { name: 'What if?' }))
    const beside = within(await screen.findByRole('table', { name: 'Before and after' }))
    expect(beside.getByRole('row', { name: 'Score 0.910 0.020' })).toBeTruthy()
    expect(beside.getByRole('row', { name: 'Outcome declined approved' })).toBeTruthy()
    expect(beside.getByRole('row', { name: 'Rules very_large none fired' })).toBeTruthy()
    expect(screen.getByRole('row', { name: 'amount +2.50 −1.50 −4.00' })).toBeTruthy()
    expect(screen.getByRole('row', { name: 'amount 418.76 12.5' })).toBeTruthy()
  })

  it('shows each mistake at its field, and begins anew when reset', async () => {
    const errors = [
      { field: 'tx_amount', value: '"much"', expected: 'a number' },
      { field: 'tx_datetime', value: '"today"', expected: 'an RFC 3339 time' },
    ]
    const { ask, form, enter } = await opened(problem(422, 'Rejected', { detail: '2 fields are wrong', errors }))
    enter('tx_amount', 'much')
    enter('tx_datetime', 'today')
    fireEvent.click(form.getByRole('button', { name: 'What if?' }))
    expect(await form.findByText('expected a number, found "much"')).toBeTruthy()
    const amount = form.getByLabelText('tx_amount')
    expect(amount.getAttribute('aria-invalid')).toBe('true')
    expect(document.getElementById(amount.getAttribute('aria-describedby') ?? '')?.textContent).toBe('expected a number, found "much"')
    expect(form.getByText('expected an RFC 3339 time, found "today"')).toBeTruthy()
    expect(form.getByLabelText('terminal_id').hasAttribute('aria-invalid')).toBe(false)
    expect(sent(ask, '/v1/decisions/7/what-if')).toEqual({ changes: { tx_amount: 'much', tx_datetime: 'today' } })
    fireEvent.click(form.getByRole('button', { name: 'Reset' }))
    expect(form.getByLabelText<HTMLInputElement>('tx_amount').value).toBe('418.76')
    expect(form.queryByText(/expected a number/)).toBeNull()
  })

  it('does not show an answer that came after a reset', async () => {
    let answer: (response: Response) => void = () => undefined
    const { form, enter } = await opened(() => new Promise((resolve) => (answer = resolve)))
    enter('tx_amount', '12.5')
    fireEvent.click(form.getByRole('button', { name: 'What if?' }))
    expect(screen.getByText('Looking back to what was known then …')).toBeTruthy()
    fireEvent.click(form.getByRole('button', { name: 'Reset' }))
    answer(Response.json(whatIf()))
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(screen.queryByRole('table', { name: 'Before and after' })).toBeNull()
    expect(screen.getByText(/^The answer stands here/)).toBeTruthy()
  })

  it('says why it cannot be asked', async () => {
    const { form, enter } = await opened(problem(409, 'its past is not known', { detail: 'recomputed it comes out otherwise' }))
    enter('tx_amount', '1')
    fireEvent.click(form.getByRole('button', { name: 'What if?' }))
    expect((await screen.findByRole('alert')).textContent).toContain('its past is not known: recomputed it comes out otherwise')
  })
})

describe('the timeline', () => {
  const before = decision('5', 'review', { event_time: '2018-08-07T14:00:00Z', amount: 20 })

  it('links what the entity did around it, and marks this one', async () => {
    const ask = await open({ 'GET /v1/decisions': json({ items: [before], next_cursor: null }) })
    const links = within(screen.getByRole('list', { name: /order of time/ }))
    const other = await links.findByRole('link', { name: /^5: 2018-08-07 14:00:00 UTC, 20.00 EUR, in review, score 0.031/ })
    expect(other.getAttribute('href')).toBe('/transactions/5')
    expect(other.title).toContain('in review')
    expect(links.getByRole('link', { current: 'page' }).getAttribute('href')).toBe('/transactions/7')
    const asked = new URL(ask.mock.calls.map(([path]) => path).find((path) => path.startsWith('/v1/decisions?')) ?? '', 'http://x')
    expect(Object.fromEntries(asked.searchParams)).toMatchObject({ key: '596', from: '2018-08-06T14:03:22.000Z', to: '2018-08-10T14:03:22.000Z' })
  })

  it('moves and widens', async () => {
    const ask = await open()
    const times = () => {
      const paths = ask.mock.calls.map(([path]) => path).filter((path) => path.startsWith('/v1/decisions?'))
      const query = new URL(paths.at(-1) ?? '', 'http://x').searchParams
      return [query.get('from'), query.get('to')]
    }
    fireEvent.click(screen.getByRole('button', { name: 'Earlier' }))
    expect(times()).toEqual(['2018-08-04T14:03:22.000Z', '2018-08-08T14:03:22.000Z'])
    expect(await screen.findByText('Nothing in this time. Look wider, or go back.')).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'Wider' }))
    expect(times()).toEqual(['2018-08-02T14:03:22.000Z', '2018-08-10T14:03:22.000Z'])
    fireEvent.click(screen.getByRole('button', { name: 'Back' }))
    expect(times()).toEqual(['2018-08-06T14:03:22.000Z', '2018-08-10T14:03:22.000Z'])
  })

  it('says that it did not come, and asks again', async () => {
    await open({ 'GET /v1/decisions': [problem(503, 'Not ready'), json({ items: [before], next_cursor: null })] })
    expect(await screen.findByText('The timeline did not come')).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }))
    expect(await screen.findByRole('link', { name: /^5:/ })).toBeTruthy()
  })
})

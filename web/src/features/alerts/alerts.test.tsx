import { cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { alert } from '@/api/samples'
import type { Alert, AlertChange, AlertCounts } from '@/api/types'
import { AlertsView } from './AlertsView'
import { AlertView } from './AlertView'
import { questionOf, readFilters, writeFilters } from './filters'
import { changeWords, dueWords, whyWords } from './words'

type Answer = () => Promise<Response>

const json = (body: unknown, status = 200) => () => Promise.resolve(Response.json(body, { status }))

/** Answers by method and path without its query. */
function serve(answers: Record<string, Answer>) {
  const ask = vi.fn((path: string, init?: RequestInit) => {
    const door = `${init?.method ?? 'GET'} ${path.split('?')[0] ?? ''}`
    return answers[door]?.() ?? Promise.reject(new Error(`unexpected request ${door}`))
  })
  vi.stubGlobal('fetch', ask)
  return ask
}

function sent(ask: ReturnType<typeof serve>, method: string) {
  const calls = ask.mock.calls.filter(([, init]) => init?.method === method)
  return calls.map(([path, init]) => ({ path, body: JSON.parse(init?.body as string) as Record<string, unknown> }))
}

const counts: AlertCounts = { open: 2, assigned: 1, overdue: 1, closed: 4, waiting_amount: 1_234.5 }
const page = (items: Alert[]) => json({ items, next_cursor: null, counts })
const detail = (one: Alert, history: AlertChange[] = []) => json({ alert: one, transactions: [], history, of_entity: [] })
const closedBy = (by: string): AlertChange => ({ version: 2, at: new Date(Date.now() - 12_000).toISOString(), by, action: 'close', to: 'fraud', note: null })

const conflict = (after: Alert, last_change: AlertChange, title = 'the alert was changed') =>
  json({ type: 'about:blank', title, status: 409, detail: 'this is how it is now', errors: [], alert: after, last_change }, 409)

beforeEach(() => localStorage.setItem('redflag.analyst', 'ada'))

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
  localStorage.clear()
  history.replaceState(null, '', '/alerts')
})

async function queue(items: Alert[], more: Record<string, Answer> = {}) {
  const ask = serve({ 'GET /v1/alerts': page(items), ...more })
  render(<AlertsView />)
  if (items[0]) await screen.findByRole('link', { name: items[0].entity })
  return ask
}

describe('the queue', () => {
  it('says what waits, and that nothing does', async () => {
    await queue([{ ...alert(1, 'c1'), overdue: true, due_at: new Date(Date.now() - 90_000).toISOString() }])
    expect(screen.getByText('overdue by 1 min')).toBeTruthy()
    expect(document.querySelector('[data-tile="Waiting"]')?.textContent).toBe('3')
    cleanup()
    await queue([])
    expect(await screen.findByText('Nothing waits')).toBeTruthy()
  })

  it('says why nothing came, and asks again', async () => {
    let fails = true
    serve({
      'GET /v1/alerts': () => (fails ? json({ type: '', title: 'unavailable', status: 503, detail: 'try again' }, 503)() : page([alert(1, 'c1')])()),
    })
    render(<AlertsView />)
    await screen.findByText('The alerts did not come')
    fails = false
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }))
    await screen.findByRole('link', { name: 'c1' })
  })

  it('closes what is selected with a note, and says on each row what became of it', async () => {
    const [one, two] = [alert(1, 'c1'), alert(2, 'c2')]
    const ask = await queue([one, two], {
      'PATCH /v1/alerts/1': json({ ...one, state: 'closed', version: 2 }),
      'PATCH /v1/alerts/2': conflict({ ...two, state: 'closed', version: 2 }, closedBy('grace')),
    })
    fireEvent.click(screen.getByRole('checkbox', { name: 'Select the alert of c1' }))
    fireEvent.click(screen.getByRole('checkbox', { name: 'Select the alert of c2' }))
    fireEvent.change(screen.getByRole('textbox', { name: 'Note on closing' }), { target: { value: 'called' } })
    fireEvent.click(screen.getByRole('button', { name: 'Close as fraud' }))
    await screen.findByText('closed as fraud')
    expect(screen.getByText(/^not done: grace closed it as fraud 1\d s ago$/)).toBeTruthy()
    expect(sent(ask, 'PATCH').map(({ body }) => body)).toEqual([
      { version: 1, by: 'ada', action: 'close', disposition: 'fraud', note: 'called' },
      { version: 1, by: 'ada', action: 'close', disposition: 'fraud', note: 'called' },
    ])
    expect(screen.getByText('none selected')).toBeTruthy()
  })

  it('is worked through with keys alone', async () => {
    const ask = await queue([alert(1, 'c1'), alert(2, 'c2')], {
      'PATCH /v1/alerts/2': json({ ...alert(2, 'c2'), assignee: 'ada', state: 'assigned', version: 2 }),
      'POST /v1/alerts/next': () => Promise.resolve(new Response(null, { status: 204 })),
    })
    const press = (key: string) => fireEvent.keyDown(document.activeElement ?? document.body, { key })
    // Keys are listened to once the page is drawn.
    await waitFor(() => {
      press('j')
      expect(document.activeElement?.textContent).toBe('c1')
    })
    press('j')
    press('x')
    expect(screen.getByText('1 selected')).toBeTruthy()
    press('a')
    await screen.findByText('assigned to ada')
    expect(sent(ask, 'PATCH')[0]).toEqual({ path: '/v1/alerts/2', body: { version: 1, by: 'ada', action: 'assign', assignee: 'ada' } })
    press('/')
    expect(document.activeElement).toBe(screen.getByRole('searchbox'))
    press('n')
    expect(sent(ask, 'POST')).toEqual([])
    ;(document.activeElement as HTMLElement).blur()
    press('n')
    await screen.findByText('No alert waits for anybody.')
    press('?')
    expect(screen.getByText('close as genuine')).toBeTruthy()
  })

  it('asks for a name before anything is done', async () => {
    localStorage.clear()
    const ask = await queue([alert(1, 'c1')])
    fireEvent.click(screen.getByRole('button', { name: 'Next alert' }))
    await screen.findByText('say who you are first')
    const field = screen.getByRole('textbox', { name: 'Working as' })
    expect(document.activeElement).toBe(field)
    expect(sent(ask, 'POST')).toEqual([])
    fireEvent.change(field, { target: { value: ' grace ' } })
    fireEvent.keyDown(field, { key: 'Enter' })
    fireEvent.blur(field)
    await waitFor(() => expect(localStorage.getItem('redflag.analyst')).toBe('grace'))
  })

  it('keeps its filters in the address, and asks for them', () => {
    const filters = readFilters(new URLSearchParams('state=closed&mine=true&entity=c%201&order=nonsense'))
    expect(filters).toEqual({ state: 'closed', order: 'priority', mine: true, overdue: false, entity: 'c 1' })
    expect(writeFilters(filters).toString()).toBe('state=closed&mine=true&entity=c+1')
    expect(questionOf(filters, 'ada', 50).toString()).toBe('state=closed&order=priority&limit=50&assignee=ada&entity=c+1')
    expect(writeFilters(readFilters(new URLSearchParams())).toString()).toBe('')
  })
})

describe('an alert', () => {
  const open = async (one: Alert, more: Record<string, Answer> = {}) => {
    const ask = serve({ 'GET /v1/alerts/1': detail(one), ...more })
    render(<AlertView id="1" />)
    await screen.findByRole('heading', { level: 1, name: /Alert on c1/ })
    return ask
  }

  it('keeps what was typed when somebody else was first, and shows what they did', async () => {
    const after: Alert = { ...alert(1, 'c1'), version: 2, state: 'closed', disposition: 'fraud', closed_by: 'grace' }
    await open(alert(1, 'c1'), { 'PATCH /v1/alerts/1': conflict(after, closedBy('grace')) })
    const note = screen.getByRole<HTMLTextAreaElement>('textbox', { name: 'Note' })
    fireEvent.change(note, { target: { value: 'called the customer' } })
    fireEvent.click(screen.getByRole('button', { name: 'Close as genuine' }))
    await screen.findByText('Somebody was first')
    expect(screen.getByText(/Grace closed it as fraud 1\d s ago/)).toBeTruthy()
    expect(note.value).toBe('called the customer')
    expect(within(document.querySelector<HTMLElement>('.alert-facts') ?? document.body).getByText(/as fraud/)).toBeTruthy()
  })

  it('is closed by a key, with the note that was typed', async () => {
    const ask = await open(alert(1, 'c1'), { 'PATCH /v1/alerts/1': json({ ...alert(1, 'c1'), version: 2, state: 'closed' }) })
    const note = screen.getByRole<HTMLTextAreaElement>('textbox', { name: 'Note' })
    fireEvent.change(note, { target: { value: 'known travel' } })
    fireEvent.keyDown(note, { key: 'g' })
    expect(sent(ask, 'PATCH')).toEqual([])
    fireEvent.keyDown(document.body, { key: 'g' })
    await screen.findByText('Done, and in the history.')
    const body = { version: 1, by: 'ada', action: 'close', disposition: 'genuine', note: 'known travel' }
    expect(sent(ask, 'PATCH')).toEqual([{ path: '/v1/alerts/1', body }])
  })

  it('takes two to reopen, and says who may', async () => {
    const closed: Alert = { ...alert(1, 'c1'), state: 'closed', disposition: 'genuine', closed_by: 'grace', closed_at: '2026-01-01T01:00:00Z' }
    await open(closed)
    expect(screen.getByRole('button', { name: 'Ask to reopen' })).toBeTruthy()
    cleanup()
    await open({ ...closed, reopen_asked_by: 'ada' })
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Agree to reopen' }).disabled).toBe(true)
    expect(screen.getByText('You asked to reopen it: somebody else has to agree.')).toBeTruthy()
    cleanup()
    await open({ ...closed, reopen_asked_by: 'grace' })
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Agree to reopen' }).disabled).toBe(false)
    expect(screen.getByText(/^2026-01-01 01:00:00 UTC, by grace$/)).toBeTruthy()
  })

  it('says that there is none', async () => {
    serve({ 'GET /v1/alerts/9': json({ type: '', title: 'no such alert', status: 404, detail: '' }, 404) })
    render(<AlertView id="9" />)
    await screen.findByText('There is no alert 9')
  })
})

describe('words', () => {
  it.each([
    [['large', '~night', 'list:blocked'], 'rule large, on list blocked'],
    [['~night'], 'the score alone'],
  ])('name of %j what was the reason', (rules, words) => expect(whyWords({ ...alert(1, '596'), rules })).toBe(words))

  it('tell who did what', () => {
    const change = { version: 2, at: '', by: 'ada', to: null, note: null }
    const told = (more: Partial<AlertChange>) => changeWords({ ...change, action: 'assign', ...more })
    expect([told({}), told({ to: 'ada' }), told({ to: 'grace' })]).toEqual(['ada released it', 'ada took it', 'ada gave it to grace'])
    expect([told({ action: 'reopen' }), told({ action: 'reopen', to: 'grace' })]).toEqual(['ada asked to reopen it', "ada agreed: it is grace's again"])
  })

  it('count down, and beyond', () => {
    const due = Date.parse('2026-01-01T04:00:00Z')
    expect([dueWords(alert(1, 'c'), due - 7_200_000), dueWords(alert(1, 'c'), due + 60_000)]).toEqual(['due in 2 h 0 min', 'overdue by 1 min'])
  })
})

import { cleanup, fireEvent, render, screen, within } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { health, rejections } from '@/api/samples'
import { HealthView } from './HealthView'
import { byUrgency, figureWords, overall } from './words'

const problem = { type: 'about:blank', title: 'busy', status: 503, detail: 'come back later', errors: [] }

/** Answers by path; a path without an answer is refused. */
function answerWith(answers: Record<string, unknown>) {
  const ask = vi.fn((path: string) => {
    const body = answers[path.split('?')[0] ?? '']
    return Promise.resolve(body === undefined ? Response.json(problem, { status: 503 }) : Response.json(body))
  })
  vi.stubGlobal('fetch', ask)
  return ask
}

beforeEach(() => {
  vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener: vi.fn(), removeEventListener: vi.fn() }))
})

afterEach(() => {
  cleanup()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const both = { '/v1/health': health(), '/v1/rejections': rejections() }

describe('HealthView', () => {
  it('names what needs attention, first, with what to do', async () => {
    answerWith(both)
    render(<HealthView />)
    expect(await screen.findByText(/Needs attention: pipeline\. Not in use here: kafka\./)).toBeTruthy()
    const [first] = screen.getAllByRole('region').filter((region) => region.className.includes('health-part'))
    const part = within(first ?? document.body)
    expect(part.getByRole('heading', { name: 'Pipeline' })).toBeTruthy()
    expect(part.getByText('Degraded')).toBeTruthy()
    expect(part.getByText('Send less, or give the service another core.')).toBeTruthy()
    expect(part.getByText(/the queue was full/)).toBeTruthy()
  })

  it('shows figures in their units', async () => {
    answerWith(both)
    render(<HealthView />)
    expect(await screen.findByText('1.24 ms')).toBeTruthy()
    expect(screen.getByText('198 /s')).toBeTruthy()
    expect(screen.getByText('52.0 GB')).toBeTruthy()
    expect(screen.getByText('98.8 %')).toBeTruthy()
  })

  it('says so when the service does not answer, and asks again', async () => {
    const ask = answerWith({ '/v1/rejections': rejections() })
    render(<HealthView />)
    expect(await screen.findByText('The service did not say how it is')).toBeTruthy()
    const before = ask.mock.calls.filter(([path]) => path === '/v1/health').length
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }))
    expect(ask.mock.calls.filter(([path]) => path === '/v1/health').length).toBe(before + 1)
  })

  it('says when what it shows is old', async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true })
    const answers: Record<string, unknown> = { ...both }
    answerWith(answers)
    render(<HealthView />)
    await screen.findByText(/Needs attention/)
    delete answers['/v1/health']
    await vi.advanceTimersByTimeAsync(2_000)
    expect(await screen.findByText('The server does not answer.')).toBeTruthy()
    expect(screen.getByText('Send less, or give the service another core.')).toBeTruthy()
  })
})

describe('recent rejections', () => {
  it('are counted by kind and listed with what came in', async () => {
    answerWith(both)
    render(<HealthView />)
    expect(await screen.findByRole('row', { name: 'amount is not a number 9 2026-01-01 00:04:00' })).toBeTruthy()
    expect(screen.getByText('12 stored')).toBeTruthy()
    expect(screen.getByText('transactions-0@1201')).toBeTruthy()
    expect(screen.getByText(/"terminal_id":"3156","customer_id":"596"/)).toBeTruthy()
  })

  it('are as many as one asks for', async () => {
    const ask = answerWith(both)
    render(<HealthView />)
    fireEvent.click(await screen.findByRole('button', { name: '500' }))
    expect(ask.mock.calls.map(([path]) => path)).toContain('/v1/rejections?limit=500')
  })

  it('may be none', async () => {
    answerWith({ ...both, '/v1/rejections': rejections({ stored: 0, kinds: [], items: [] }) })
    render(<HealthView />)
    expect(await screen.findByText('Nothing was rejected')).toBeTruthy()
  })
})

describe('words of health', () => {
  it('take what is off for no fault', () => {
    const { parts } = health()
    const fine = parts.filter(({ status }) => status !== 'degraded')
    expect(overall({ status: 'ok', parts: fine })).toBe('All parts in use work. Not in use here: kafka.')
    expect(byUrgency(parts).map(({ name }) => name)).toEqual(['pipeline', 'source', 'disk', 'kafka'])
  })

  it('keep a unit that is not known', () => {
    expect(figureWords({ value: 3, unit: 'apples' })).toBe('3.0 apples')
    expect(figureWords({ value: 45, unit: 's' })).toBe('45.0 s')
    expect(figureWords({ value: 600, unit: 's' })).toBe('10 min')
  })
})

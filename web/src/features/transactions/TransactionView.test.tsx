import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { fullDecision } from '@/api/samples'
import { TransactionView } from './TransactionView'

/** Answers each request in turn. */
function answerWith(...answers: (() => Promise<Response>)[]) {
  const ask = vi.fn((path: string, init?: RequestInit) => {
    const next = answers.shift()
    return next ? next() : Promise.reject(new Error(`unexpected request ${init?.method ?? 'GET'} ${path}`))
  })
  vi.stubGlobal('fetch', ask)
  return ask
}

const json = (body: unknown, status = 200) => () => Promise.resolve(Response.json(body, { status }))
const problem = (status: number, title: string, more = {}) => json({ type: 'about:blank', title, status, ...more }, status)

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

describe('TransactionView', () => {
  it('shows the decision, its event and its features', async () => {
    answerWith(json(fullDecision('7', 'decline')))
    render(<TransactionView id="7" />)
    expect(screen.getByRole('status').textContent).toBe('Loading')
    expect(await screen.findByText('declined')).toBeTruthy()
    expect(screen.getByText('3156')).toBeTruthy()
    expect(screen.getByRole('row', { name: 'customer_count_1d 3' })).toBeTruthy()
    expect(screen.getByRole('row', { name: 'terminal_risk_7d missing' })).toBeTruthy()
  })

  it('says what speaks for fraud', async () => {
    const text = "amount is 6.2 times the customer's 30-day mean"
    const reasons = [{ feature: 'customer_mean_30d', value: 12.5, contribution: 1.318, text }]
    answerWith(json({ ...fullDecision('7', 'review'), reasons }))
    render(<TransactionView id="7" />)
    expect(await screen.findByText(text)).toBeTruthy()
    expect(screen.getByText('+1.32')).toBeTruthy()
    expect(screen.queryByRole('button', { name: 'Explain' })).toBeNull()
  })

  it('explains an approved transaction when asked, or says why it cannot', async () => {
    const text = '14 transactions of the customer in 1 day'
    const reasons = [{ feature: 'customer_count_1d', value: 14, contribution: 0.2, text }]
    answerWith(json(fullDecision('7')), json({ reasons }))
    render(<TransactionView id="7" />)
    fireEvent.click(await screen.findByRole('button', { name: 'Explain' }))
    expect(await screen.findByText(text)).toBeTruthy()
    cleanup()

    answerWith(json(fullDecision('8')), problem(409, 'cannot be explained', { detail: 'it was decided without a model' }))
    render(<TransactionView id="8" />)
    fireEvent.click(await screen.findByRole('button', { name: 'Explain' }))
    expect(await screen.findByText('Not explained: it was decided without a model.')).toBeTruthy()
  })

  it('finds features by a part of their name', async () => {
    answerWith(json(fullDecision('7')))
    render(<TransactionView id="7" />)
    fireEvent.change(await screen.findByLabelText('Find a feature'), { target: { value: 'RISK' } })
    expect(screen.queryByText('customer_count_1d')).toBeNull()
    expect(screen.getByText('terminal_risk_7d')).toBeTruthy()
  })

  it('says that there is no such transaction', async () => {
    answerWith(problem(404, 'Not found'))
    render(<TransactionView id="nobody" />)
    expect(await screen.findByText('No such transaction')).toBeTruthy()
  })

  it('says that the server does not answer, and asks again', async () => {
    answerWith(() => Promise.reject(new TypeError('Failed to fetch')), json(fullDecision('7')))
    render(<TransactionView id="7" />)
    expect(await screen.findByText('The server did not answer')).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'Try again' }))
    expect(await screen.findByText('approved')).toBeTruthy()
  })

  it('posts a label and shows that it was taken', async () => {
    const labelled = { ...fullDecision('7'), label: { fraud: true, known_at: '2026-01-02T03:04:05Z' } }
    const ask = answerWith(json(fullDecision('7')), json({ transaction_id: '7', fraud: true }), json(labelled))
    render(<TransactionView id="7" />)
    fireEvent.click(await screen.findByRole('button', { name: 'Fraud' }))
    expect(await screen.findByText('Labelled as fraud.')).toBeTruthy()
    expect(await screen.findByText('known at 2026-01-02 03:04:05 UTC')).toBeTruthy()
    expect(screen.getByRole('button', { name: 'Fraud' }).getAttribute('aria-pressed')).toBe('true')
    expect(ask.mock.calls[1]?.[1]?.body).toBe('{"transaction_id":"7","fraud":true}')
  })

  it('shows why a label was refused, field by field', async () => {
    const errors = [{ field: 'fraud', value: true, expected: 'a label not given before' }]
    answerWith(json(fullDecision('7')), problem(422, 'Label refused', { detail: 'it contradicts another', errors }))
    render(<TransactionView id="7" />)
    fireEvent.click(await screen.findByRole('button', { name: 'Fraud' }))
    expect(await screen.findByText(/Label refused: it contradicts another/)).toBeTruthy()
    expect(screen.getByText(/a label not given before/)).toBeTruthy()
  })
})

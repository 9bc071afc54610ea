import { useState } from 'react'
import { act, cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { decision, message, stats } from '@/api/samples'
import { applyMessage, initialState, liveStore } from '@/api/store'
import type { DecisionSummary } from '@/api/types'
import { DecisionsPanel } from './DecisionsPanel'

let made = 0

function arrive(rows: DecisionSummary[], skipped = 0) {
  made += rows.length + skipped
  const totals = { ...stats().totals, decisions: made }
  const news = { ...message('update', rows, skipped), stats: stats({ totals }) }
  act(() => liveStore.update((state) => applyMessage(state, news, Date.now())))
}

const listed = () => screen.queryAllByRole('link').map((link) => link.textContent)

beforeEach(() => {
  made = 0
  history.replaceState(null, '', '/')
  liveStore.update(() => initialState)
  render(<Held />)
})

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

function Held() {
  const [paused, setPaused] = useState(false)
  return <DecisionsPanel paused={paused} onPause={setPaused} past={false} />
}

describe('DecisionsPanel', () => {
  it('holds the place of the rows before the first message', () => {
    expect(screen.getByRole('table').getAttribute('aria-busy')).toBe('true')
  })

  it('says how to post a transaction when there is none', () => {
    arrive([])
    expect(screen.getByText('No transactions yet')).toBeTruthy()
    expect(screen.getByLabelText('The command').textContent).toContain('/v1/transactions')
  })

  it('lists what arrives and leads to its page', () => {
    arrive([decision('a/1', 'decline')])
    expect(screen.getByRole('link', { name: 'a/1' }).getAttribute('href')).toBe('/transactions/a%2F1')
    expect(screen.getByText('declined')).toBeTruthy()
  })

  it('says when it shows only some', () => {
    arrive([decision('1')], 41)
    expect(screen.getByText(/a sample/).textContent).toBe('newest first, a sample: 1 of 42 in the last 5 s')
  })

  it('holds still while paused, counts what waits, and shows it on resume', () => {
    arrive([decision('1')])
    fireEvent.click(screen.getByRole('button', { name: 'Pause' }))
    arrive([decision('3'), decision('2')], 5)
    expect(listed()).toEqual(['1'])
    expect(screen.getByText(/waiting/).textContent).toBe('Paused, 7 waiting')
    fireEvent.click(screen.getByRole('button', { name: 'Resume' }))
    expect(listed()).toEqual(['3', '2', '1'])
  })

  it('holds still under the mouse, so that a row can be hit', () => {
    arrive([decision('1')])
    const body = screen.getByRole('link').closest('tbody')
    if (!body) throw new Error('the row is not in a table')
    fireEvent.pointerOver(body, { pointerType: 'mouse' })
    arrive([decision('2')])
    expect(listed()).toEqual(['1'])
    fireEvent.pointerOut(body)
    expect(listed()).toEqual(['2', '1'])
  })

  it('lets in the older ones of another outcome while paused', async () => {
    const answer = { items: [decision('older', 'decline')], next_cursor: null }
    vi.stubGlobal('fetch', () => Promise.resolve(Response.json(answer)))
    const decisions = [decision('live', 'decline', { decided_at: '2026-01-01T00:00:09Z' })]
    act(() =>
      liveStore.update((state) => applyMessage(state, message('snapshot', decisions), 0)),
    )
    fireEvent.click(screen.getByRole('button', { name: 'Pause' }))
    fireEvent.click(screen.getByRole('button', { name: 'Declined' }))
    expect(await screen.findByText('older')).toBeTruthy()
    expect(listed()).toEqual(['live', 'older'])
  })

  it('asks the server for older ones of the outcome chosen, and keeps the choice in the address', async () => {
    const answer = { items: [decision('older', 'decline')], next_cursor: null }
    const ask = vi.fn((path: string) => Promise.resolve(Response.json(path === '' ? null : answer)))
    vi.stubGlobal('fetch', ask)
    act(() =>
      liveStore.update((state) =>
        applyMessage(state, message('snapshot', [decision('1')]), 0),
      ),
    )
    fireEvent.click(screen.getByRole('button', { name: 'Declined' }))
    expect(await screen.findByText('older')).toBeTruthy()
    expect(listed()).toEqual(['older'])
    expect(location.search).toBe('?outcome=decline')
    expect(ask.mock.calls[0]?.[0]).toBe('/v1/decisions?outcome=decline&limit=100')
  })
})

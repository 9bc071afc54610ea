import { describe, expect, it, vi } from 'vitest'
import { decision, message } from './samples'
import { applyHistory, applyMessage, initialState, LiveStore, ROWS_MAX, SAMPLING_WINDOW_MS } from './store'

const ids = (rows: readonly { id: string }[]) => rows.map(({ id }) => id)

describe('applyMessage', () => {
  it('puts the newest first and lists an id once', () => {
    const first = applyMessage(initialState, message('snapshot', [decision('2'), decision('1')]), 0)
    const next = applyMessage(first, message('update', [decision('3'), decision('2')]), 250)
    expect(ids(next.recent)).toEqual(['3', '2', '1'])
  })

  it('keeps rare outcomes that the newest rows have pushed out', () => {
    let state = applyMessage(initialState, message('snapshot', [decision('bad', 'decline')]), 0)
    for (let i = 0; i < ROWS_MAX; i++) state = applyMessage(state, message('update', [decision(`ok-${i}`)]), i)
    expect(state.recent).toHaveLength(ROWS_MAX)
    expect(ids(state.recent)).not.toContain('bad')
    expect(ids(state.byOutcome.decline)).toEqual(['bad'])
  })

  it('begins afresh with a snapshot, as the server may be another one', () => {
    const old = applyMessage(initialState, message('snapshot', [decision('old', 'decline')]), 0)
    const fresh = applyMessage(old, message('snapshot', [decision('new')]), 1)
    expect(ids(fresh.recent)).toEqual(['new'])
    expect(fresh.byOutcome.decline).toEqual([])
    expect(fresh.snapshots).toBe(2)
  })

  it('says how many it lists of how many, and stops saying so when all are listed again', () => {
    let state = applyMessage(initialState, message('update', [decision('1')], 9), 0)
    expect(state.sampling).toEqual({ listed: 1, made: 10 })
    state = applyMessage(state, message('update', [decision('2')], 0), 250)
    expect(state.sampling).toEqual({ listed: 2, made: 11 })
    state = applyMessage(state, message('update', [decision('3')], 0), SAMPLING_WINDOW_MS + 1)
    expect(state.sampling).toBeNull()
  })
})

describe('applyHistory', () => {
  it('interleaves stored decisions with the live ones by when they were decided', () => {
    const at = (second: number) => ({ decided_at: `2026-01-01T00:00:0${second}Z` })
    const live = [decision('5', 'decline', at(5)), decision('2', 'decline', at(2))]
    const stored = [decision('4', 'decline', at(4)), decision('2', 'decline', at(2)), decision('1', 'decline', at(1))]
    const state = applyHistory(applyMessage(initialState, message('snapshot', live), 0), 'decline', stored)
    expect(ids(state.byOutcome.decline)).toEqual(['5', '4', '2', '1'])
  })
})

describe('LiveStore', () => {
  it('tells nobody while the tab is hidden, and catches up when it is seen', () => {
    const store = new LiveStore()
    const listener = vi.fn()
    const seen = vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden')
    const forget = store.subscribe(listener)
    store.update((state) => applyMessage(state, message('snapshot', [decision('1')]), 0))
    expect(listener).not.toHaveBeenCalled()
    expect(ids(store.get().recent)).toEqual(['1'])

    seen.mockReturnValue('visible')
    document.dispatchEvent(new Event('visibilitychange'))
    expect(listener).toHaveBeenCalledTimes(1)
    forget()
    seen.mockRestore()
  })
})

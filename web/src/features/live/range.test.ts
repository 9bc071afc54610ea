import { describe, expect, it } from 'vitest'
import { boundsOf, moved, placeOfChoice, placeOfRange, reachesNow, readRange, readSynthetic, stepOf } from './range'

const NOW = Date.parse('2026-01-10T12:00:00Z')
const HOUR = 3_600_000
const query = (text: string) => new URLSearchParams(text)

describe('the address', () => {
  it('is live when it says nothing, or nothing that is known', () => {
    expect(readRange(query(''))).toEqual({ name: 'live' })
    expect(readRange(query('range=3y'))).toEqual({ name: 'live' })
  })

  it('gives back the range that was put in', () => {
    for (const range of [{ name: '1h' } as const, { name: 'between', from: NOW - HOUR, to: NOW } as const]) {
      expect(readRange(query(placeOfRange(query('range=7d'), range).slice(2)))).toEqual(range)
    }
  })

  it('keeps the other choices', () => {
    expect(placeOfRange(query('outcome=decline&range=1h'), { name: 'live' })).toBe('/?outcome=decline')
    expect(placeOfChoice(query('range=1h'), 'outcome', 'review')).toBe('/?range=1h&outcome=review')
    expect(placeOfChoice(query('outcome=review'), 'outcome', null)).toBe('/')
  })

  it('does not believe a range that ends before it begins', () => {
    expect(readRange(query('from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z'))).toEqual({ name: 'live' })
  })

  it('says whose decisions are counted', () => {
    expect([readSynthetic(query('')), readSynthetic(query('synthetic=true'))]).toEqual([null, true])
    expect(readSynthetic(query('synthetic=false'))).toBe(false)
  })
})

describe('bounds', () => {
  it('end now, and of all begin with the first decision', () => {
    expect(boundsOf({ name: '1h' }, NOW)).toEqual({ from: NOW - HOUR, to: NOW })
    expect(boundsOf({ name: 'all' }, NOW)).toEqual({ from: null, to: NOW })
  })

  it('move by their own length, but not beyond now', () => {
    const bounds = { from: NOW - 3 * HOUR, to: NOW - 2 * HOUR }
    expect(moved(bounds, -1, NOW)).toEqual({ name: 'between', from: NOW - 4 * HOUR, to: NOW - 3 * HOUR })
    expect(moved({ from: NOW - HOUR, to: NOW }, 1, NOW)).toEqual({ name: 'between', from: NOW - HOUR, to: NOW })
  })

  it('reach until now unless they end before', () => {
    expect(reachesNow({ name: 'all' }, NOW)).toBe(true)
    expect(reachesNow({ name: 'between', from: 0, to: NOW - 1 }, NOW)).toBe(false)
  })
})

describe('steps', () => {
  it('are as long as the range asks for', () => {
    expect(stepOf(NOW - 6 * HOUR, NOW, NOW)).toBe('minute')
    expect(stepOf(NOW - 7 * HOUR, NOW, NOW)).toBe('hour')
    expect(stepOf(NOW - 14 * 24 * HOUR, NOW, NOW)).toBe('hour')
    expect(stepOf(NOW - 15 * 24 * HOUR, NOW, NOW)).toBe('day')
  })

  it('are hours where minutes are no longer kept', () => {
    expect(stepOf(NOW - 50 * HOUR, NOW - 49 * HOUR, NOW)).toBe('hour')
  })
})

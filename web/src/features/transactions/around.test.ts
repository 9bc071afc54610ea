import { describe, expect, it } from 'vitest'
import { decision, fullDecision } from '@/api/samples'
import { inOrder, marksOf, moved, placeIn, scaled, stretchAround, topOf } from './around'

const day = 86_400_000
const noon = Date.parse('2026-01-03T12:00:00Z')
const stretch = { from: noon - 2 * day, to: noon + 2 * day }

describe('the stretch of a timeline', () => {
  it('has the moment in its middle, moves by half, and grows around its middle', () => {
    expect(stretchAround('2026-01-03T12:00:00Z')).toEqual(stretch)
    expect(moved(stretch, 1)).toEqual({ from: noon, to: noon + 4 * day })
    expect(scaled(stretch, 2)).toEqual({ from: noon - 4 * day, to: noon + 4 * day })
  })

  it('is never shorter than an hour, nor longer than two years', () => {
    const tiny = scaled({ from: noon, to: noon + 60_000 }, 0.5)
    expect(tiny.to - tiny.from).toBe(3_600_000)
    const vast = scaled({ from: 0, to: 700 * day }, 2)
    expect(vast.to - vast.from).toBe(730 * day)
  })

  it('is marked at round moments', () => {
    expect(marksOf(stretch, 5).map(({ text }) => text)).toEqual(['01-02', '01-03', '01-04', '01-05'])
    expect(marksOf({ from: noon - 2 * 3_600_000, to: noon + 2 * 3_600_000 }, 5).map(({ text }) => text)).toEqual(['10:00', '11:00', '12:00', '13:00'])
    const years = marksOf({ from: noon - 365 * day, to: noon + 365 * day }, 5)
    expect(years.length).toBeLessThanOrEqual(5)
    expect(years[0]?.text).toMatch(/^\d{4}-\d\d-\d\d$/)
  })
})

describe('the points of a timeline', () => {
  const later = decision('b', 'approve', { event_time: '2026-01-04T12:00:00Z', amount: 180 })
  const here = { ...fullDecision('a'), event_time: '2026-01-03T12:00:00Z' }

  it('are in order, with this one even where the list was cut', () => {
    expect(inOrder([later], here, stretch).map(({ id }) => id)).toEqual(['a', 'b'])
    expect(inOrder([later, here], here, stretch)).toHaveLength(2)
    expect(inOrder([later], here, { from: noon + 1, to: noon + day }).map(({ id }) => id)).toEqual(['b'])
  })

  it('stand by time and amount under a round number', () => {
    expect(topOf([later])).toBe(200)
    expect(topOf([])).toBe(1)
    expect(placeIn(stretch, 200, later)).toEqual({ x: 0.75, y: 0.9 })
  })
})

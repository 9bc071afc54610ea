import { describe, expect, it } from 'vitest'
import { contributions } from '@/api/samples'
import { barsOf, fitted, lengthOf, reachOf } from './bars'

describe('signed bars', () => {
  it('reach from the largest against to the largest for', () => {
    const bars = barsOf(contributions(), true)
    const reach = reachOf(bars)
    expect(reach.zero).toBeCloseTo(0.75 / 3.25)
    expect(bars.map((bar) => lengthOf(bar, reach) * 3.25)).toEqual([2.5, 0.75, 0.25].map((value) => expect.closeTo(value) as number))
  })

  it('keep some room on a side where nothing is', () => {
    const reach = reachOf([{ name: 'a', text: '', contribution: 2 }])
    expect(reach).toEqual({ zero: 0.1, scale: 0.45 })
    expect(reachOf([{ name: 'a', text: '', contribution: -2 }]).zero).toBe(0.9)
    expect(reachOf([]).scale).toBe(0)
  })

  it('do not fold a rest of one', () => {
    const many = (n: number) => Array.from({ length: n }, (_, i) => ({ feature: `f${i}`, value: 0, contribution: 1, text: '' }))
    expect(barsOf({ base: 0, margin: 13, contributions: many(13) }, false)).toHaveLength(13)
    expect(barsOf({ base: 0, margin: 14, contributions: many(14) }, false).at(-1)).toMatchObject({ name: '2 others', contribution: 2 })
  })

  it('have words that fit', () => {
    expect(fitted('short', 100, 10)).toBe('short')
    expect(fitted('a longer text', 80, 10)).toBe('a longe…')
  })
})

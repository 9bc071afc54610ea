import { describe, expect, it } from 'vitest'
import { amount, bytes, measure, microseconds, percent, rate, score, share } from './numbers'

describe('numbers', () => {
  it.each([
    [0, '0 %'],
    [0.00001, '<0.01 %'],
    [0.0042, '0.42 %'],
    [0.5, '50.0 %'],
  ])('percent %f', (value, text) => expect(percent(value)).toBe(text))

  it.each([
    [0, '0'],
    [3.25, '3.3'],
    [1_840.4, '1,840'],
  ])('rate %f', (value, text) => expect(rate(value)).toBe(text))

  it.each([
    [38, '38 µs'],
    [1_240, '1.24 ms'],
    [42_000, '42.0 ms'],
    [2_500_000, '2.50 s'],
  ])('microseconds %i', (value, text) => expect(microseconds(value)).toBe(text))

  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [48_200_000, '48.2 MB'],
  ])('bytes %i', (value, text) => expect(bytes(value)).toBe(text))

  it.each([
    [12.5, 'EUR', '12.50'],
    [1_250, 'JPY', '1,250'],
    [12.5, 'loyalty points', '12.50'],
  ])('amount %f %s', (value, currency, text) => expect(amount(value, currency)).toBe(text))

  it('has no share of nothing', () => expect(share(0, 0)).toBe('0 %'))

  it('has no score without a model', () => expect(score(null)).toBe('–'))

  it.each([
    [3, '3', ''],
    [81.0551, '81', '.0551'],
    [-0.25, '-0', '.25'],
    [0.0000012, '1', '.20e-6'],
  ])('measure %f is split at its decimals', (value, whole, fraction) => {
    expect(measure(value)).toEqual({ whole, fraction })
  })
})

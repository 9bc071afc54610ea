import { describe, expect, it } from 'vitest'
import { alerts, finishedSeconds, shares, throughput } from './series'

const START = Date.parse('2026-01-01T00:00:00Z') / 1_000

function seconds(length: number, each: Partial<ReturnType<typeof second>> = {}) {
  return Array.from({ length }, (_, i) => ({ ...second(START + i), ...each }))
}

function second(at: number) {
  return { at, decisions: 100, in_review: 2, declined: 1, labelled_fraud: 1 }
}

describe('finishedSeconds', () => {
  it('leaves out the second that is still being counted', () => {
    const timeline = ['00:00:00Z', '00:00:01Z', '00:00:02Z'].map((time) => ({ ...second(0), at: `2026-01-01T${time}` }))
    const finished = finishedSeconds(timeline, '2026-01-01T00:00:02.300Z')
    expect(finished.map(({ at }) => at - START)).toEqual([0, 1])
  })
})

describe('throughput', () => {
  it('is the decisions of each second', () => {
    expect(throughput(seconds(3)).values).toEqual([[100, 100, 100]])
  })
})

describe('alerts', () => {
  it('are means per second, even of a bin not yet full', () => {
    const data = alerts(seconds(7))
    expect(data.at).toEqual([START, START + 5])
    expect(data.values).toEqual([
      [2, 2],
      [1, 1],
    ])
  })

  it('are drawn stacked', () => {
    expect(alerts(seconds(5)).drawn).toEqual([[3], [1]])
  })
})

describe('shares', () => {
  it('are of the last half minute only', () => {
    const calm = seconds(30, { in_review: 0, declined: 0, labelled_fraud: 0 })
    const busy = seconds(30).map((each) => ({ ...each, at: each.at + 30 }))
    const [flagged, fraud] = shares([...calm, ...busy]).values
    expect(flagged?.[29]).toBe(0)
    expect(flagged?.[44]).toBeCloseTo(0.015)
    expect(flagged?.[59]).toBeCloseTo(0.03)
    expect(fraud?.[59]).toBeCloseTo(0.01)
  })

  it('are not drawn while they say nothing', () => {
    expect(shares(seconds(9)).values[0]?.every((share) => share === null)).toBe(true)
    expect(shares(seconds(20, { decisions: 0 })).values[0]?.every((share) => share === null)).toBe(true)
  })
})

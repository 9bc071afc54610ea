import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, describe, expect, it } from 'vitest'
import type { ActivityCounts, Breakdown } from '@/api/types'
import { allSteps, flagged, stepTable } from './activitySeries'
import { Breakdowns } from './Breakdowns'
import { fraudShare } from './RangeTiles'
import { Week } from './Week'

const NONE: ActivityCounts = {
  decisions: 0, in_review: 0, declined: 0, amount: 0, frauds: 0, fraud_amount: 0, genuine: 0, saved: 0, saved_amount: 0,
  unlabelled_declined: 0, expected_saved_amount: 0, missed: 0, missed_amount: 0, falsely_declined: 0, falsely_declined_amount: 0,
}

afterEach(cleanup)

describe('the steps of a range', () => {
  const point = { ...NONE, at: '2026-01-01T00:01:00Z', decisions: 5, in_review: 2, declined: 1 }
  const steps = allSteps({ from: '2026-01-01T00:00:00Z', to: '2026-01-01T00:03:00Z', step: 'minute', points: [point] })

  it('are all there, also those in which nothing was decided', () => {
    expect(steps.map(({ counts }) => counts?.decisions ?? null)).toEqual([null, 5, null])
  })

  it('stack declined below in review', () => {
    expect(flagged(steps)).toMatchObject({ values: [[0, 2, 0], [0, 1, 0]], drawn: [[0, 3, 0], [0, 1, 0]] })
  })

  it('are rows of the table', () => {
    expect(stepTable(steps, ['decisions']).rows[1]).toEqual(['2026-01-01T00:01:00.000Z', 5])
  })
})

describe('the fraud share', () => {
  it('is of labelled transactions, and unknown without any', () => {
    expect(fraudShare({ frauds: 1, genuine: 3, decisions: 9 })).toBe('25.0 %')
    expect(fraudShare({ frauds: 1, genuine: 0, decisions: 50 }), 'only frauds are labelled').toBe('2.00 %')
    expect(fraudShare({ frauds: 0, genuine: 0, decisions: 9 })).toBe('–')
  })
})

describe('hours of the week', () => {
  it('say their numbers, and their alert share when asked', () => {
    const week = Array.from({ length: 168 }, (_, i) => ({ decisions: i === 25 ? 200 : 0, alerts: i === 25 ? 3 : 0 }))
    render(<Week week={week} />)
    const cell = () => screen.getByRole('row', { name: /^Tuesday/ }).querySelectorAll('td')[1]?.textContent
    expect(cell()).toBe('200')
    fireEvent.click(screen.getByRole('button', { name: 'Alert share' }))
    expect(cell()).toBe('1.50 %')
  })
})

describe('breakdowns', () => {
  it('are sorted by the column pressed', () => {
    const values = [
      { ...NONE, value: 'chip', decisions: 90, frauds: 1 },
      { ...NONE, value: 'online', decisions: 10, frauds: 4 },
    ]
    const channel: Breakdown = { field: 'channel', kind: 'category', from: null, values, others: 0, others_counts: NONE }
    render(<Breakdowns breakdowns={[channel]} />)
    const names = () => screen.getAllByRole('rowheader').map((head) => head.textContent)
    expect(names()).toEqual(['chip', 'online'])
    fireEvent.click(screen.getByRole('button', { name: /Frauds/ }))
    expect(names()).toEqual(['online', 'chip'])
  })
})

import { cleanup, render } from '@testing-library/react'
import { afterEach, describe, expect, it } from 'vitest'
import { firedWords } from './fired'
import { FiredRules } from './FiredRules'

afterEach(cleanup)

describe('rules that fired', () => {
  it.each([
    ['large', 'large'],
    ['~large', 'large (in the shadow)'],
    ['list:blocked', 'on list blocked'],
    ['~list:blocked', 'on list blocked (in the shadow)'],
  ])('%s is %s', (listed, words) => expect(firedWords(listed)).toBe(words))

  it('are told apart', () => {
    const { container } = render(<FiredRules rules={['list:blocked', '~large']} />)
    const [blocked, large] = [...container.querySelectorAll('.fired-rule')]
    expect(blocked?.textContent).toBe('on list blocked')
    expect(large?.textContent).toBe('large shadow')
    expect(large?.getAttribute('data-shadow')).toBe('true')
  })
})

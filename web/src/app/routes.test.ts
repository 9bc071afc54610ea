import { expect, it } from 'vitest'
import { readRoute } from './routes'

it.each([
  ['/', { view: 'live' }],
  ['/transactions/1754123', { view: 'transaction', id: '1754123' }],
  ['/transactions/a%2Fb%20c', { view: 'transaction', id: 'a/b c' }],
  ['/transactions/50%', { view: 'transaction', id: '50%' }],
  ['/rules', { view: 'rules' }],
  ['/rules/lists/blocked', { view: 'list', id: 'blocked' }],
  ['/docs', { view: 'docs' }],
  ['/docs/', { view: 'docs' }],
  ['/transactions/', { view: 'unknown' }],
  ['/elsewhere', { view: 'unknown' }],
])('%s', (path, route) => expect(readRoute(path)).toEqual(route))

import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { findOutWho, forgetWho } from '@/api/access'
import { auditEntry } from '@/api/samples'
import { AuditView } from './AuditView'
import { filterOf, queryOf, typedTime } from './filter'

/** Two pages, the second one after the cursor 2. */
function serve(me = { name: 'eve', roles: ['admin'] }) {
  const ask = vi.fn((path: string) => {
    const { pathname, searchParams } = new URL(path, 'http://localhost')
    if (pathname === '/v1/me') return Promise.resolve(Response.json({ ...me, authentication: 'key' }))
    const older = searchParams.get('cursor') === '2'
    const items = older ? [auditEntry(1, { outcome: '403' })] : [auditEntry(3), auditEntry(2)]
    return Promise.resolve(Response.json({ items, next_cursor: older ? null : '2' }))
  })
  vi.stubGlobal('fetch', ask)
  return ask
}

beforeEach(() => {
  forgetWho()
  history.replaceState(null, '', '/audit')
})

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

describe('AuditView', () => {
  it('reads on, page by page', async () => {
    serve()
    await findOutWho()
    render(<AuditView />)
    expect(await screen.findByText('2, the newest first')).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'Older entries' }))
    expect(await screen.findByText('3, the newest first')).toBeTruthy()
    expect(screen.getByText('403').getAttribute('data-good')).toBe('false')
    expect(screen.queryByRole('button', { name: 'Older entries' })).toBeNull()
  })

  it('asks for what is wanted, and keeps it in the address', async () => {
    const ask = serve()
    await findOutWho()
    render(<AuditView />)
    await screen.findByText('2, the newest first')
    fireEvent.change(screen.getByLabelText('Who'), { target: { value: 'anna' } })
    fireEvent.change(screen.getByLabelText('What'), { target: { value: 'rule.*' } })
    fireEvent.change(screen.getByLabelText('From, UTC'), { target: { value: '2026-01-01T00:00' } })
    fireEvent.click(screen.getByRole('button', { name: 'Show' }))
    await screen.findByText('2, the newest first')
    expect(location.search).toBe('?by=anna&action=rule.*&from=2026-01-01T00%3A00%3A00Z')
    expect(ask.mock.calls.at(-1)?.[0]).toBe('/v1/audit?by=anna&action=rule.*&from=2026-01-01T00%3A00%3A00Z&limit=100')
  })

  it('asks nothing for who may not read it', async () => {
    const ask = serve({ name: 'anna', roles: ['analyst'] })
    render(<AuditView />)
    await findOutWho()
    expect(await screen.findByText('The audit log is for admins')).toBeTruthy()
    expect(ask.mock.calls.map(([path]) => path)).toEqual(['/v1/me'])
  })
})

describe('the filter', () => {
  it('comes back from the address as it was', () => {
    const filter = { by: 'anna', action: 'alert.*', from: '2026-01-01T00:00:00Z', to: '' }
    expect(filterOf(new URLSearchParams(queryOf(filter)))).toEqual(filter)
    expect(queryOf({ by: ' ', action: '', from: '', to: '' })).toBe('')
  })

  it('reads times of any zone, and none that is no time', () => {
    expect(typedTime('2026-01-01T01:00:00+01:00')).toBe('2026-01-01T00:00:00')
    expect(typedTime('soon')).toBe('')
  })
})

import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { findOutWho, forgetWho, signIn, useAccess } from '@/api/access'
import { ownProblem, request } from '@/api/client'
import { SignIn } from './SignIn'
import { WhoAmI } from './WhoAmI'

const anna = { name: 'anna', roles: ['analyst'], authentication: 'session' }

function serve(answers: Record<string, { status: number; body?: unknown }>) {
  const ask = vi.fn((path: string, init?: RequestInit) => {
    const { status, body } = answers[`${init?.method ?? 'GET'} ${path}`] ?? { status: 404, body: ownProblem('no', 404, 'no') }
    return Promise.resolve(new Response(status === 204 ? null : JSON.stringify(body), { status }))
  })
  vi.stubGlobal('fetch', ask)
  return ask
}

function Wanted() {
  return <p>{useAccess().wanted ? 'wanted' : 'not wanted'}</p>
}

beforeEach(forgetWho)
afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

describe('who is signed in', () => {
  it('is shown with the way out', async () => {
    const ask = serve({ 'GET /v1/me': { status: 200, body: anna }, 'DELETE /v1/session': { status: 204 } })
    render(<WhoAmI />)
    await findOutWho()
    expect(await screen.findByText('anna')).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'Sign out' }))
    await waitFor(() => expect(screen.queryByText('anna')).toBeNull())
    expect(ask.mock.calls.map(([path]) => path)).toEqual(['/v1/me', '/v1/session'])
  })

  it('is not shown where nobody is asked', async () => {
    serve({ 'GET /v1/me': { status: 200, body: { name: null, roles: ['admin'], authentication: 'off' } } })
    const { container } = render(<WhoAmI />)
    await findOutWho()
    expect(container.textContent).toBe('')
  })

  it('is asked for when any request is refused', async () => {
    serve({ 'GET /v1/stats': { status: 401, body: ownProblem('who are you?', 401, 'say') } })
    render(<Wanted />)
    expect(screen.getByText('not wanted')).toBeTruthy()
    await expect(request('/v1/stats', {})).rejects.toThrow('say')
    expect(await screen.findByText('wanted')).toBeTruthy()
  })
})

describe('the way in', () => {
  const type = (key: string) => {
    fireEvent.change(screen.getByLabelText('API key or token'), { target: { value: key } })
    fireEvent.click(screen.getByRole('button', { name: 'Sign in' }))
  }

  it('shows a key to the server once', async () => {
    const ask = serve({ 'POST /v1/session': { status: 200, body: anna } })
    render(<SignIn />)
    type(' rf_x ')
    await waitFor(() => expect(ask).toHaveBeenCalledTimes(1))
    expect(ask.mock.calls[0]?.[1]?.body).toBe('{"key":"rf_x"}')
  })

  it('says why a key is refused', async () => {
    serve({ 'POST /v1/session': { status: 401, body: ownProblem('who are you?', 401, 'no') } })
    render(<SignIn />)
    type('')
    expect(screen.getByText('Paste a key or a token.')).toBeTruthy()
    type('rf_x')
    expect(await screen.findByText(/This key is not good/)).toBeTruthy()
    await expect(signIn('rf_y')).rejects.toThrow('no')
  })
})

import { cleanup, fireEvent, render, screen, within } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { findOutWho, forgetWho } from '@/api/access'
import { retraining, retrainingRun } from '@/api/samples'
import type { Retraining } from '@/api/types'
import { RetrainingView } from './RetrainingView'
import { stepsOf } from './words'

function serve(value: Retraining, more: Record<string, () => Response> = {}) {
  const ask = vi.fn((path: string, init?: RequestInit) => {
    const answer = more[`${init?.method ?? 'GET'} ${path}`]
    if (answer) return Promise.resolve(answer())
    return Promise.resolve(path === '/v1/retraining' ? Response.json(value) : Response.json({}, { status: 404 }))
  })
  vi.stubGlobal('fetch', ask)
  return ask
}

const press = (name: string) => fireEvent.click(screen.getByRole('button', { name }))
const type = (label: string, value: string) => fireEvent.change(screen.getByLabelText(label), { target: { value } })

beforeEach(() => {
  forgetWho()
  localStorage.clear()
})

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

const verdict = {
  promote: true,
  champion: 'gbdt-1',
  challenger: 'gbdt-2',
  from: '2018-08-01T00:00:00Z',
  to: '2018-08-09T00:00:00Z',
  rows: 12_421,
  frauds: 50,
  criteria: [
    { name: 'better', met: true, champion: 0.3, challenger: 0.4, bound: 0.305, words: 'average precision 0.4 against 0.3' },
    { name: 'fast', met: false, champion: 100, challenger: 900, bound: 300, words: '900 ns for a row against 100' },
  ],
  words: 'better',
}

describe('RetrainingView', () => {
  it('says when the next run starts and what is beyond its threshold', async () => {
    serve(retraining())
    render(<RetrainingView />)
    expect(await screen.findByText('The next run starts 2026-01-05 03:00:00 UTC.')).toBeTruthy()
    expect(screen.getByText('Shift of the score').parentElement?.textContent).toBe('Shift of the score0.500 above 0.250')
    expect(screen.getByText('Greatest shift of a feature').parentElement?.textContent).toBe('Greatest shift of a feature– of 0.250')
    expect(screen.getByRole('row', { name: /^score shift \(PSI\) 0\.500 0\.250/ })).toBeTruthy()
    expect(screen.getByText('No runs yet')).toBeTruthy()
  })

  it('shows how far a run is, and each criterion', async () => {
    serve(retraining({ runs: [retrainingRun('run-1', { state: 'approval', verdict })] }))
    render(<RetrainingView />)
    expect(await screen.findByText('run-1 waits for a person.')).toBeTruthy()
    const steps = within(screen.getByRole('list', { name: 'Steps of run-1' })).getAllByRole('listitem')
    expect(steps.map(({ textContent }) => textContent)).toEqual([
      'collect: done',
      'train: done',
      'evaluate: done',
      'register: done',
      'judge: waits',
      'promote: not yet',
    ])
    expect(screen.getByRole('row', { name: /Better ?: met average precision 0\.4 against 0\.3/ })).toBeTruthy()
    expect(screen.getByRole('row', { name: /Fast ?: not met/ })).toBeTruthy()
    expect(screen.getByText('Average precision').nextSibling?.textContent).toBe('0.2165')
  })

  it('approves a run, with who and why', async () => {
    const run = retrainingRun('run-1', { state: 'approval' })
    const ask = serve(retraining({ runs: [run] }), { 'POST /v1/retraining/runs/run-1/approve': () => Response.json({ ...run, state: 'promoted' }) })
    render(<RetrainingView />)
    fireEvent.click(await screen.findByRole('button', { name: 'Approve run-1' }))
    press('Approve it')
    expect(screen.getByText('Say who you are.')).toBeTruthy()
    type('Who', 'Ann')
    type('Why', 'looked at it')
    press('Approve it')
    expect(await screen.findByText('Done: gbdt-2 decides.')).toBeTruthy()
    const [, init] = ask.mock.calls.find(([, sent]) => sent?.method === 'POST') ?? []
    expect(JSON.parse(init?.body as string)).toEqual({ by: 'Ann', reason: 'looked at it' })
  })

  it('says why a run was not started', async () => {
    const problem = { type: 'about:blank', title: 'not as things are', status: 409, detail: 'run-2 is under way', errors: [] }
    serve(retraining(), { 'POST /v1/retraining/runs': () => Response.json(problem, { status: 409 }) })
    render(<RetrainingView />)
    fireEvent.click(await screen.findByRole('button', { name: 'Start a run' }))
    type('Who', 'Ann')
    type('Why', 'a new attack')
    press('Start it')
    expect(await screen.findByText('Nothing was changed. not as things are: run-2 is under way')).toBeTruthy()
  })

  it('starts no second run, and none where there can be none', async () => {
    serve(retraining({ can_run: false, detail: 'the model is no registry’s', runs: [] }))
    render(<RetrainingView />)
    expect(await screen.findByText(/the model is no registry’s/)).toBeTruthy()
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Start a run' }).disabled).toBe(true)
    cleanup()
    serve(retraining({ runs: [retrainingRun('run-1')] }))
    render(<RetrainingView />)
    expect((await screen.findByRole<HTMLButtonElement>('button', { name: 'Start a run' })).title).toBe('A run is under way.')
  })

  it('lets analysts look only', async () => {
    serve(retraining({ runs: [retrainingRun('run-1', { state: 'approval' })] }), {
      'GET /v1/me': () => Response.json({ name: 'anna', roles: ['analyst'], authentication: 'key' }),
    })
    await findOutWho()
    render(<RetrainingView />)
    expect(await screen.findByText(/starting and stopping takes the role engineer/)).toBeTruthy()
    expect(screen.queryByRole('button', { name: /Approve|Stop|Start/ })).toBeNull()
  })
})

describe('steps of a run', () => {
  it.each([
    [{ state: 'running', step: 'train' }, ['done', 'now', 'open', 'open', 'open', 'open']],
    [{ state: 'failed', step: 'evaluate' }, ['done', 'done', 'stopped', 'open', 'open', 'open']],
    [{ state: 'rejected', step: 'judge' }, ['done', 'done', 'done', 'done', 'done', 'open']],
    [{ state: 'rejected', step: 'promote' }, ['done', 'done', 'done', 'done', 'done', 'stopped']],
    [{ state: 'promoted', step: 'promote' }, ['done', 'done', 'done', 'done', 'done', 'done']],
  ])('%o', (run, steps) => expect(stepsOf(run)).toEqual(steps))
})

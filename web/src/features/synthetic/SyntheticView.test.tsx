import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { applyMessage, initialState, liveStore } from '@/api/store'
import { generation, generator, message, syntheticReport } from '@/api/samples'
import { SyntheticView } from './SyntheticView'

vi.mock('@/components/charts/CurveChart', () => ({
  CurveChart: ({ spec, said }: { spec: { label: string }; said: string }) => <p>{`${spec.label}: ${said}`}</p>,
}))

const problem = (status: number, title: string, detail: string) => Response.json({ type: 'about:blank', title, status, detail, errors: [] }, { status })

/** Answers by method and path. */
function answerWith(answers: Record<string, () => Response>) {
  const ask = vi.fn((path: string, init?: RequestInit) => {
    const answer = answers[`${init?.method ?? 'GET'} ${path.split('?')[0]}`]
    return Promise.resolve(answer ? answer() : problem(500, 'unexpected', path))
  })
  vi.stubGlobal('fetch', ask)
  return ask
}

const sources = { simulator: 'card', generators: [generator('ctgan-1'), generator('wgan-2', { training: true, epochs: null, best_epoch: null })] }

const answers = (more: Record<string, () => Response> = {}) => ({
  'GET /v1/generators': () => Response.json(sources),
  'GET /v1/generate': () => Response.json({ items: [] }),
  ...more,
})

/** What a request sent, of the last one to this path. */
function sent(ask: ReturnType<typeof answerWith>, method: string, path: string): unknown {
  const [, init] = ask.mock.calls.findLast(([to, init]) => to === path && init?.method === method) ?? []
  return typeof init?.body === 'string' ? JSON.parse(init.body) : undefined
}

beforeEach(() => liveStore.update(() => initialState))

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

describe('what makes transactions', () => {
  it('is listed with what it has seen, and whether it is trained', async () => {
    answerWith(answers())
    render(<SyntheticView />)
    expect(await screen.findByRole('row', { name: /ctgan-1 ctgan yes 300 epochs, weights of epoch 240 .*2018-07-01 to 2018-08-01 20,000, 160 of them fraud/ })).toBeTruthy()
    expect(screen.getByRole('row', { name: /wgan-2 ctgan yes being trained, epoch 300/ })).toBeTruthy()
    expect(screen.getByText('Losses by epoch: at epoch 300 generator 1.000, critic 0.800')).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'Show the training of wgan-2' }))
    expect(screen.getByRole('heading', { name: 'Losses of wgan-2' })).toBeTruthy()
  })

  it('may be a simulator alone', async () => {
    answerWith(answers({ 'GET /v1/generators': () => Response.json({ simulator: 'card', generators: [] }) }))
    render(<SyntheticView />)
    expect(await screen.findByText('No generator')).toBeTruthy()
    expect(screen.getByRole('option', { name: 'simulator card' })).toBeTruthy()
  })

  it('says so when it does not come', async () => {
    answerWith(answers({ 'GET /v1/generators': () => problem(500, 'broken', 'no folder') }))
    render(<SyntheticView />)
    expect(await screen.findByText('What makes transactions did not come')).toBeTruthy()
  })
})

describe('making transactions', () => {
  it('sends what was typed down the stream', async () => {
    const ask = answerWith(answers({ 'POST /v1/generate': () => Response.json(generation('j1'), { status: 202 }) }))
    render(<SyntheticView />)
    type(await screen.findByLabelText('Transactions'), '200')
    type(screen.getByLabelText('What makes them'), 'generator:ctgan-1')
    type(screen.getByLabelText('Frauds, %'), '5')
    fireEvent.click(screen.getByRole('button', { name: 'Send to the stream' }))
    expect(await screen.findByText('Job j1 began; its progress is under Jobs.')).toBeTruthy()
    expect(sent(ask, 'POST', '/v1/generate')).toEqual({ rows: 200, source: { generator: 'ctgan-1' }, fraud_share: 0.05, rate: 100, to: 'stream' })
  })

  it('says what is wrong before anything is sent', async () => {
    const ask = answerWith(answers())
    render(<SyntheticView />)
    type(await screen.findByLabelText('Transactions'), '1.5')
    fireEvent.click(screen.getByRole('button', { name: 'Send to the stream' }))
    expect(screen.getByText('A whole number from 1.')).toBeTruthy()
    expect(sent(ask, 'POST', '/v1/generate')).toBeUndefined()
  })

  it('says why it was refused', async () => {
    answerWith(answers({ 'POST /v1/generate': () => problem(422, 'too many', 'at most 100,000 rows') }))
    render(<SyntheticView />)
    fireEvent.click(await screen.findByRole('button', { name: 'Send to the stream' }))
    expect(await screen.findByText('Nothing was sent. too many: at most 100,000 rows')).toBeTruthy()
  })

  it('downloads a file', async () => {
    vi.stubGlobal('URL', Object.assign(URL, { createObjectURL: () => 'blob:1', revokeObjectURL: vi.fn() }))
    const headers = { 'content-disposition': 'attachment; filename="card-7.parquet"' }
    const ask = answerWith(answers({ 'POST /v1/generate': () => new Response('rows', { headers }) }))
    render(<SyntheticView />)
    type(await screen.findByLabelText('Format of the file'), 'parquet')
    fireEvent.click(screen.getByRole('button', { name: 'Download as' }))
    expect(await screen.findByText('card-7.parquet was downloaded.')).toBeTruthy()
    expect(sent(ask, 'POST', '/v1/generate')).toMatchObject({ to: 'file', format: 'parquet', rate: null })
  })
})

describe('jobs', () => {
  it('show how far they are and can be cancelled', async () => {
    const job = generation('j1', { started_at: new Date(Date.now() - 10_000).toISOString() })
    const ask = answerWith(answers({ 'GET /v1/generate': () => Response.json({ items: [job] }), 'DELETE /v1/generate/j1': () => Response.json(job) }))
    render(<SyntheticView />)
    const bar = await screen.findByRole('progressbar')
    expect(bar.getAttribute('value')).toBe('250')
    expect(screen.getByText(/^250 of 1,000, 2\d\.\d per second, \d+ s left$/)).toBeTruthy()
    fireEvent.click(screen.getByRole('button', { name: 'Cancel job j1' }))
    expect(ask.mock.calls.some(([path, init]) => path === '/v1/generate/j1' && init?.method === 'DELETE')).toBe(true)
  })

  it('go on by the live feed, to their end', async () => {
    answerWith(answers({ 'GET /v1/generate': () => Response.json({ items: [generation('j1')] }) }))
    const done = generation('j1', { state: 'done', done: 1_000, ended_at: '2026-01-01T00:00:10Z' })
    liveStore.update((state) => applyMessage(state, { ...message('update', []), generations: [done] }, 0))
    render(<SyntheticView />)
    expect(await screen.findByText('1,000 of 1,000, 100 per second')).toBeTruthy()
    expect(screen.queryByRole('button', { name: 'Cancel job j1' })).toBeNull()
  })

  it('say why they failed', async () => {
    const failed = generation('j1', { state: 'failed', detail: 'amount is missing', ended_at: '2026-01-01T00:00:10Z' })
    answerWith(answers({ 'GET /v1/generate': () => Response.json({ items: [failed] }) }))
    render(<SyntheticView />)
    expect(await screen.findByText('amount is missing')).toBeTruthy()
  })
})

describe('real against synthetic', () => {
  it('shows the verdict, the figures and the pictures', async () => {
    const ask = answerWith(answers({ 'POST /v1/generate/report': () => Response.json(syntheticReport()) }))
    render(<SyntheticView />)
    type(await screen.findByLabelText('Mark'), 'simulator:card:7')
    fireEvent.click(screen.getByRole('button', { name: 'Compare' }))
    expect(screen.getByText(/takes up to 15 seconds/)).toBeTruthy()
    expect(await screen.findByText('Fit for trying out rules and screens.')).toBeTruthy()
    expect(screen.getByText('0.912', { selector: '.tile-value' })).toBeTruthy()
    expect(document.querySelectorAll('.picture svg')).toHaveLength(4)
    expect(ask.mock.calls.map(([path]) => path)).toContain('/v1/generate/report?synthetic=simulator%3Acard%3A7')
  })

  it('says when there is too little to compare', async () => {
    answerWith(answers({ 'POST /v1/generate/report': () => problem(409, 'too few transactions', '12 real ones are stored, 100 are needed') }))
    render(<SyntheticView />)
    fireEvent.click(await screen.findByRole('button', { name: 'Compare' }))
    expect(await screen.findByText('Nothing to compare yet')).toBeTruthy()
    expect(screen.getByText(/12 real ones are stored, 100 are needed/)).toBeTruthy()
  })
})

function type(control: HTMLElement, value: string) {
  fireEvent.change(control, { target: { value } })
}

import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { drift, featureDrift, model, performance } from '@/api/samples'
import { ModelsView } from './ModelsView'
import { cheapest, halvesAlerts, reachesRecall } from './thresholds'

vi.mock('@/components/charts/CurveChart', () => ({
  CurveChart: ({ spec, said }: { spec: { label: string }; said: string }) => <p>{`${spec.label}: ${said}`}</p>,
}))

const refused = (status: number, title: string, detail: string) => Response.json({ type: 'about:blank', title, status, detail, errors: [] }, { status })

/** Answers by method and path. */
function answerWith(more: Record<string, () => Response> = {}) {
  const answers: Record<string, () => Response> = {
    'GET /v1/models': () => Response.json({ models: [model('gbdt-1'), model('gbdt-2', 'challenger')], compared: null }),
    'GET /v1/models/performance': () => Response.json(performance()),
    'GET /v1/models/drift': () => Response.json(drift()),
    ...more,
  }
  const ask = vi.fn((path: string, init?: RequestInit) => {
    const answer = answers[`${init?.method ?? 'GET'} ${path}`]
    return Promise.resolve(answer ? answer() : refused(500, 'unexpected', path))
  })
  vi.stubGlobal('fetch', ask)
  return ask
}

beforeEach(() => history.replaceState(null, '', '/models'))

afterEach(() => {
  cleanup()
  vi.unstubAllGlobals()
})

const press = (name: string) => fireEvent.click(screen.getByRole('button', { name }))
const slider = () => screen.findByRole('slider', { name: /Threshold/ })
const tile = (name: string) => document.querySelector(`[data-tile="${name}"]`)?.textContent

describe('where to set the threshold', () => {
  it('says in one click what half of the alerts would take and cost', async () => {
    answerWith()
    render(<ModelsView />)
    await slider()
    expect(screen.getByText('At 0.200, as now, there are 200 alerts a day; they find 90.0 % of the frauds.')).toBeTruthy()
    press('Halve the alerts')
    expect(
      screen.getByText(
        'At 0.600 instead of 0.200 there would have been 80.0 alerts a day instead of 200; they would have found 60.0 % of the frauds instead of 90.0 %.',
      ),
    ).toBeTruthy()
    expect(tile('Recall')).toBe('60.0 %')
    expect(tile('Cost a day')).toMatch(/^2,100/)
  })

  it('moves the confusion matrix with the slider', async () => {
    answerWith()
    render(<ModelsView />)
    fireEvent.change(await slider(), { target: { value: '4' } })
    expect(screen.getByRole('row', { name: /^Fraud 20 ?20\.0 % ?caught 80 ?80\.0 % ?missed$/ })).toBeTruthy()
    expect(screen.getByRole('row', { name: /^Genuine 1 ?0\.01 % ?disturbed 9,899/ })).toBeTruthy()
  })

  it('begins where the address says', async () => {
    history.replaceState(null, '', '/models?threshold=0.4')
    answerWith()
    render(<ModelsView />)
    expect((await slider()).getAttribute('aria-valuetext')).toBe('0.400: 120 alerts a day, recall 80.0 %')
  })

  it('says what is needed without labels', async () => {
    answerWith({ 'GET /v1/models/performance': () => Response.json(performance({ transactions: 0, frauds: 0 })) })
    render(<ModelsView />)
    expect(await screen.findByText('No labels yet')).toBeTruthy()
  })
})

describe('promotion', () => {
  const promoted = { number: 3, model: 'gbdt-2', as: 'champion', at: '2026-01-01T00:00:00Z', by: 'Ann', reason: 'better', champion: 'gbdt-2', challengers: [], from: 'gbdt-1' }

  it('needs who and why', async () => {
    const ask = answerWith({ 'POST /v1/models/gbdt-2/promote': () => Response.json(promoted) })
    render(<ModelsView />)
    fireEvent.click(await screen.findByRole('button', { name: 'Promote gbdt-2' }))
    press('Do it')
    expect(screen.getByText('Say who you are.')).toBeTruthy()
    expect(screen.getByText('Say why.')).toBeTruthy()
    expect(ask.mock.calls.some(([, init]) => init?.method === 'POST')).toBe(false)

    fireEvent.change(screen.getByLabelText('Who'), { target: { value: 'Ann' } })
    fireEvent.change(screen.getByLabelText('Why'), { target: { value: 'better' } })
    press('Do it')
    expect(await screen.findByText(/Done: step 3 of the history, of gbdt-2\. gbdt-2 decides\./)).toBeTruthy()
  })

  it('says why it was refused', async () => {
    answerWith({ 'POST /v1/models/gbdt-2/promote': () => refused(409, 'no registry', 'models are not kept') })
    render(<ModelsView />)
    fireEvent.click(await screen.findByRole('button', { name: 'Promote gbdt-2' }))
    fireEvent.change(screen.getByLabelText('Who'), { target: { value: 'Ann' } })
    fireEvent.change(screen.getByLabelText('Why'), { target: { value: 'better' } })
    press('Do it')
    expect(await screen.findByText('Nothing was changed. no registry: models are not kept')).toBeTruthy()
  })
})

describe('drift', () => {
  it('is said in words, feature by feature', async () => {
    answerWith()
    render(<ModelsView />)
    expect(await screen.findByText('Features: 1 different, 1 shifting, 1 stable. The score itself is stable.')).toBeTruthy()
    expect(screen.getByRole('row', { name: /^amount 0\.310 different/ })).toBeTruthy()
    expect(screen.getByRole('row', { name: /^hour 0\.150 shifting/ })).toBeTruthy()
  })

  it('needs decisions', async () => {
    answerWith({ 'GET /v1/models/drift': () => Response.json(drift({ reference: 'none', decisions: 12, features: [featureDrift('amount', 0)] })) })
    render(<ModelsView />)
    expect(await screen.findByText('Too few decisions to tell')).toBeTruthy()
  })
})

describe('states of the page', () => {
  it('without a model say how to get one', async () => {
    answerWith({
      'GET /v1/models': () => Response.json({ models: [], compared: null }),
      'GET /v1/models/performance': () => Response.json(performance({ models: [] })),
    })
    render(<ModelsView />)
    expect(await screen.findByText('No model: rules alone decide')).toBeTruthy()
  })

  it('without an answer say so, and ask again', async () => {
    const ask = answerWith({ 'GET /v1/models/performance': () => refused(503, 'busy', 'later') })
    render(<ModelsView />)
    expect(await screen.findByText('The figures did not come')).toBeTruthy()
    press('Try again')
    expect(ask.mock.calls.filter(([path]) => path === '/v1/models/performance')).toHaveLength(2)
  })
})

describe('thresholds', () => {
  const points = performance().models[0]?.thresholds ?? []

  it('are found by what they would do', () => {
    expect(halvesAlerts(points, 1)).toBe(3)
    expect(halvesAlerts(points, 4)).toBeNull()
    expect(reachesRecall(points, 0.8)).toBe(2)
    expect(cheapest(points)).toBe(1)
    expect(cheapest(points.map((point) => ({ ...point, cost_per_day: null })))).toBeNull()
  })
})

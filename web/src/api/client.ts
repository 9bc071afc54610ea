import type { Decision, DecisionPage, LabelAccepted, LabelRequest, Outcome, Problem } from './types'

/** What went wrong with a request, as the server's problem document tells it. */
export class RequestError extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.detail || problem.title)
    this.name = 'RequestError'
    this.problem = problem
  }

  get notFound() {
    return this.problem.status === 404
  }
}

export function listDecisions(outcome: Outcome, limit: number, signal: AbortSignal) {
  const query = new URLSearchParams({ outcome, limit: String(limit) })
  return request<DecisionPage>(`/v1/decisions?${query.toString()}`, { signal })
}

export function getDecision(id: string, signal: AbortSignal) {
  return request<Decision>(`/v1/decisions/${encodeURIComponent(id)}`, { signal })
}

export function postLabel(label: LabelRequest) {
  return request<LabelAccepted>('/v1/labels', withBody('POST', label))
}

/** What the server says of itself, to be read by whoever reads the page of it. */
export function getDocument(signal: AbortSignal) {
  return request<unknown>('/openapi.json', { signal })
}

/** What a request needs that sends something. */
export function withBody(method: 'POST' | 'PUT' | 'PATCH', body: unknown): RequestInit {
  return { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}

/** The answer to a request; of an empty one (204) `null`. */
export async function request<T>(path: string, init: RequestInit): Promise<T> {
  const response = await reach(path, init)
  if (!response.ok) throw new RequestError(await readProblem(response))
  return (response.status === 204 ? null : await response.json()) as T
}

/** A file that is the answer, with the name that the server gives it; null where it gives none. */
export async function requestFile(path: string, init: RequestInit) {
  const response = await reach(path, init)
  if (!response.ok) throw new RequestError(await readProblem(response))
  const [, name = null] = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '') ?? []
  return { name, file: await response.blob() }
}

/** Whatever went wrong, as a problem that can be shown. */
export function asRequestError(error: unknown) {
  if (error instanceof RequestError) return error
  return new RequestError(ownProblem('The answer could not be read', 0, String(error)))
}

let tellUnknown: (() => void) | null = null

/** Has somebody told whenever the server does not know who asks. */
export function onUnknown(tell: () => void) {
  tellUnknown = tell
}

async function reach(path: string, init: RequestInit) {
  try {
    const response = await fetch(path, init)
    if (response.status === 401) tellUnknown?.()
    return response
  } catch (cause) {
    if (init.signal?.aborted) throw cause
    const detail = `No answer from ${location.host}. Is redflag running?`
    throw new RequestError(ownProblem('The server did not answer', 0, detail))
  }
}

/** A proxy in between may answer with a page of its own, so what is not a problem document becomes one. */
async function readProblem(response: Response): Promise<Problem> {
  const own = ownProblem(`The server answered ${response.status}`, response.status, '')
  const body: unknown = await response.json().catch(() => null)
  if (typeof body !== 'object' || body === null || !('title' in body)) return own
  return { ...own, ...(body as Problem), status: response.status }
}

/** A problem that this page found, told as the server tells its own. Status 0: there was no answer. */
export function ownProblem(title: string, status: number, detail: string): Problem {
  return { type: 'about:blank', title, status, detail, errors: [] }
}

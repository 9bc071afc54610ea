/** What of the queue is looked at, as the address says it. */
import { replacePlace, usePlace } from '@/components/ui/location'

export const STATES = ['waiting', 'open', 'assigned', 'closed'] as const
export const ORDERS = ['priority', 'age', 'newest'] as const

export interface Filters {
  state: (typeof STATES)[number]
  order: (typeof ORDERS)[number]
  mine: boolean
  overdue: boolean
  entity: string
}

export function useFilters(): [Filters, (change: Partial<Filters>) => void] {
  const { path, query } = usePlace()
  const filters = readFilters(query)
  const change = (next: Partial<Filters>) => {
    const text = writeFilters({ ...filters, ...next }).toString()
    replacePlace(text ? `${path}?${text}` : path)
  }
  return [filters, change]
}

export function readFilters(query: URLSearchParams): Filters {
  return {
    state: STATES.find((state) => state === query.get('state')) ?? 'waiting',
    order: ORDERS.find((order) => order === query.get('order')) ?? 'priority',
    mine: query.get('mine') === 'true',
    overdue: query.get('overdue') === 'true',
    entity: query.get('entity') ?? '',
  }
}

/** Without what is usual, so that the plain page has a plain address. */
export function writeFilters({ state, order, mine, overdue, entity }: Filters) {
  const query = new URLSearchParams()
  if (state !== 'waiting') query.set('state', state)
  if (order !== 'priority') query.set('order', order)
  if (mine) query.set('mine', 'true')
  if (overdue) query.set('overdue', 'true')
  if (entity) query.set('entity', entity)
  return query
}

/** What the server is asked. */
export function questionOf({ state, order, mine, overdue, entity }: Filters, analyst: string, limit: number) {
  const query = new URLSearchParams({ state, order, limit: String(limit) })
  if (mine && analyst) query.set('assignee', analyst)
  if (overdue) query.set('overdue', 'true')
  if (entity) query.set('entity', entity)
  return query
}

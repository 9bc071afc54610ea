export type Route =
  | { view: 'live' | 'alerts' | 'rules' | 'models' | 'retraining' | 'synthetic' | 'health' | 'audit' | 'docs' | 'unknown' }
  | { view: 'transaction'; id: string }
  | { view: 'alert'; id: string }
  | { view: 'list'; id: string }

/** The pages that the header leads to, in its order. */
export const pages = [
  { view: 'live', path: '/', name: 'Live' },
  { view: 'alerts', path: '/alerts', name: 'Alerts' },
  { view: 'rules', path: '/rules', name: 'Rules' },
  { view: 'models', path: '/models', name: 'Models' },
  { view: 'retraining', path: '/retraining', name: 'Retraining' },
  { view: 'synthetic', path: '/synthetic', name: 'Synthetic' },
  { view: 'health', path: '/health', name: 'Health' },
  { view: 'audit', path: '/audit', name: 'Audit' },
  { view: 'docs', path: '/docs', name: 'API' },
] as const

/** Pages of one thing each, by where they stand. */
const singleViews: Readonly<Record<string, 'transaction' | 'alert' | 'list'>> = {
  transactions: 'transaction',
  alerts: 'alert',
  'rules/lists': 'list',
}

export function readRoute(path: string): Route {
  const plain = path === '/index.html' ? '/' : path.replace(/(?<=.)\/$/, '')
  const page = pages.find((page) => page.path === plain)
  if (page) return { view: page.view }
  const [, kind = '', id] = /^\/(transactions|alerts|rules\/lists)\/([^/]+)$/.exec(plain) ?? []
  const view = singleViews[kind]
  if (view === undefined || id === undefined) return { view: 'unknown' }
  return { view, id: decoded(id) }
}

export function titleOf(route: Route) {
  switch (route.view) {
    case 'transaction':
      return `redflag: transaction ${route.id}`
    case 'alert':
      return `redflag: alert ${route.id}`
    case 'list':
      return `redflag: list ${route.id}`
    default:
      return ['redflag', pages.find(({ view }) => view === route.view)?.name].filter(Boolean).join(': ')
  }
}

/** A stray percent sign is part of the id, not a reason to show no page. */
function decoded(part: string) {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

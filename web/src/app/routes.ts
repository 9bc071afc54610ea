export type Route = { view: 'live' } | { view: 'transaction'; id: string } | { view: 'docs' } | { view: 'unknown' }

export function readRoute(path: string): Route {
  if (path === '/' || path === '/index.html') return { view: 'live' }
  if (path === '/docs' || path === '/docs/') return { view: 'docs' }
  const id = /^\/transactions\/([^/]+)\/?$/.exec(path)?.[1]
  return id === undefined ? { view: 'unknown' } : { view: 'transaction', id: decoded(id) }
}

export function titleOf(route: Route) {
  switch (route.view) {
    case 'live':
      return 'redflag: live'
    case 'transaction':
      return `redflag: transaction ${route.id}`
    case 'docs':
      return 'redflag: API'
    case 'unknown':
      return 'redflag'
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

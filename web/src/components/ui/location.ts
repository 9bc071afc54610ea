/** Where the page is, as the address bar has it. The server answers every path it does not know with this page. */
import { useSyncExternalStore } from 'react'

export interface Place {
  path: string
  query: URLSearchParams
}

export function usePlace(): Place {
  const href = useSyncExternalStore(subscribe, () => location.pathname + location.search)
  const url = new URL(href, location.origin)
  return { path: url.pathname, query: url.searchParams }
}

export function navigate(to: string) {
  history.pushState(null, '', to)
  moved()
}

/** For a choice on the page, such as a filter: in the address, but not another step for the back button. */
export function replacePlace(to: string) {
  history.replaceState(null, '', to)
  moved()
}

function moved() {
  dispatchEvent(new PopStateEvent('popstate'))
}

function subscribe(listener: () => void) {
  addEventListener('popstate', listener)
  return () => removeEventListener('popstate', listener)
}

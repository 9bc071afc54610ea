/** Who works at this page. Until there are accounts, whoever sits there says so; the name stays in this browser. */
import { useSyncExternalStore } from 'react'

const KEY = 'redflag.analyst'
const CHANGED = 'redflag-analyst'

export function useAnalyst(): [string, (name: string) => void] {
  const name = useSyncExternalStore(subscribe, () => localStorage.getItem(KEY) ?? '')
  return [name, setAnalyst]
}

function setAnalyst(name: string) {
  localStorage.setItem(KEY, name.trim())
  dispatchEvent(new Event(CHANGED))
}

function subscribe(listener: () => void) {
  // Another tab changes the storage, this one says so itself.
  const events = ['storage', CHANGED]
  events.forEach((event) => addEventListener(event, listener))
  return () => events.forEach((event) => removeEventListener(event, listener))
}

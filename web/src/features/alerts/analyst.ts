/**
 * Who works at this page: who is signed in. Where nobody is asked to, whoever sits there says so, and the name stays in this
 * browser.
 */
import { useSyncExternalStore } from 'react'
import { useAccess } from '@/api/access'

const KEY = 'redflag.analyst'
const CHANGED = 'redflag-analyst'

/** The name, and what changes it; `null` if it is that of who is signed in. */
export function useAnalyst(): [string, ((name: string) => void) | null] {
  const said = useSyncExternalStore(subscribe, () => localStorage.getItem(KEY) ?? '')
  const { me } = useAccess()
  return me?.name == null ? [said, setAnalyst] : [me.name, null]
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

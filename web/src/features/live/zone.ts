/** Whose clock the times of this page are read from; kept for the next visit. */
import { useSyncExternalStore } from 'react'

export type Zone = 'utc' | 'local'

const KEY = 'redflag-zone'
const CHANGED = 'redflag-zone-changed'

export function useZone(): [Zone, (zone: Zone) => void] {
  return [useSyncExternalStore(subscribe, readZone), setZone]
}

/** "Europe/Berlin (UTC+1)", of the browser. */
export function ownZone(at: Date) {
  const minutes = -at.getTimezoneOffset()
  return `${Intl.DateTimeFormat().resolvedOptions().timeZone} (${offset(minutes)})`
}

export function offset(minutes: number) {
  const rest = Math.abs(minutes) % 60
  const hours = Math.floor(Math.abs(minutes) / 60)
  const size = rest === 0 ? String(hours) : `${hours}:${String(rest).padStart(2, '0')}`
  return `UTC${minutes < 0 ? '−' : '+'}${size}`
}

/** 2026-01-01T14:05, as a field of date and time takes it. */
export function fieldText(at: number, zone: Zone) {
  const shift = zone === 'utc' ? 0 : new Date(at).getTimezoneOffset() * 60_000
  return new Date(at - shift).toISOString().slice(0, 16)
}

export function fieldTime(text: string, zone: Zone) {
  return Date.parse(zone === 'utc' ? `${text}Z` : text)
}

/** 2026-01-01 14:05 */
export function minuteText(at: number, zone: Zone) {
  return fieldText(at, zone).replace('T', ' ')
}

function readZone(): Zone {
  return localStorage.getItem(KEY) === 'local' ? 'local' : 'utc'
}

function setZone(zone: Zone) {
  localStorage.setItem(KEY, zone)
  dispatchEvent(new Event(CHANGED))
}

function subscribe(listener: () => void) {
  addEventListener(CHANGED, listener)
  return () => removeEventListener(CHANGED, listener)
}

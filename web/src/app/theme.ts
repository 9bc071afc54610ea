/** Light, dark, or as the system has it; remembered by this browser. */
import { useSyncExternalStore } from 'react'

export const THEMES = ['system', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

const KEY = 'redflag-theme'
const listeners = new Set<() => void>()

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, storedTheme)
}

export function setTheme(theme: Theme) {
  remember(theme)
  applyTheme()
  for (const listener of listeners) listener()
}

/** `system` is the absence of a choice: the style sheet follows the system by itself. */
export function applyTheme() {
  const theme = storedTheme()
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
}

/** Storage can be forbidden; the choice then lasts as long as the page. */
let forgetful: Theme | null = null

function remember(theme: Theme) {
  try {
    localStorage.setItem(KEY, theme)
  } catch {
    forgetful = theme
  }
}

function storedTheme(): Theme {
  try {
    const stored = localStorage.getItem(KEY)
    return THEMES.find((theme) => theme === stored) ?? forgetful ?? 'system'
  } catch {
    return forgetful ?? 'system'
  }
}

function subscribe(listener: () => void) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

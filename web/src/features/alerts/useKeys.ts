import { useEffect } from 'react'

export type Keys = Readonly<Record<string, () => void>>

/** Keys that do something wherever the focus is, except where it means typing, and while a dialog asks something. */
export function useKeys(keys: Keys) {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return
      const act = keys[event.key]
      if (!act || document.querySelector('dialog[open]')) return
      event.preventDefault()
      act()
    }
    addEventListener('keydown', pressed)
    return () => removeEventListener('keydown', pressed)
  }, [keys])
}

function isTyping(target: EventTarget | null) {
  return target instanceof HTMLElement && target.closest('input:not([type=checkbox]), textarea, select, [contenteditable]') !== null
}

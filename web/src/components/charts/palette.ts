/**
 * Canvas knows nothing of CSS variables, so the colour that a token stands for right now is read from the page, once
 * per token and theme.
 */
const resolved = new Map<string, string>()

export type Token = `--${string}`

export function color(token: Token) {
  const known = resolved.get(token)
  if (known) return known
  const fresh = resolve(token)
  resolved.set(token, fresh)
  return fresh
}

export function onThemeChange(listener: () => void) {
  const changed = () => {
    resolved.clear()
    listener()
  }
  const system = matchMedia('(prefers-color-scheme: dark)')
  const chosen = new MutationObserver(changed)
  system.addEventListener('change', changed)
  chosen.observe(document.documentElement, { attributeFilter: ['data-theme'] })
  return () => {
    system.removeEventListener('change', changed)
    chosen.disconnect()
  }
}

function resolve(token: Token) {
  const probe = document.createElement('span')
  probe.style.color = `var(${token})`
  document.body.append(probe)
  const value = getComputedStyle(probe).color
  probe.remove()
  return value
}

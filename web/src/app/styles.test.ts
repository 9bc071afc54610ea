import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

/** All but the one of the whole page. */
const sheets = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.css') && path !== 'index.css')

/** The class that a rule begins with: what it is about. */
function subjects(css: string) {
  const rules = css.replaceAll(/\/\*[^]*?\*\//g, '').matchAll(/^\s*([^{}@]+)\{/gm)
  const selectors = [...rules].flatMap(([, list = '']) => list.split(','))
  return new Set(selectors.flatMap((selector) => /^\s*\.([\w-]+)/.exec(selector)?.[1] ?? []))
}

describe('style sheets', () => {
  it('of two pages never mean the same class', () => {
    // Each is loaded with its page and then stays: what it says of a class would be said of another page's as well.
    const owners = new Map<string, string[]>()
    for (const sheet of sheets) {
      for (const name of subjects(readFileSync(join('src', sheet), 'utf8'))) owners.set(name, [...(owners.get(name) ?? []), sheet])
    }
    expect([...owners].filter(([name, of]) => of.length > 1 && name !== 'button')).toEqual([])
    expect(owners.size).toBeGreaterThan(100)
  })
})

/** Rules as decisions list them: `~NAME` fired in the shadow, `list:NAME` is a list that the transaction is on. */

export interface Fired {
  /** Of the rule or the list. */
  name: string
  isList: boolean
  /** It was only noted, and changed nothing. */
  inShadow: boolean
}

export function readFired(listed: string): Fired {
  const inShadow = listed.startsWith('~')
  const rest = firedName(listed)
  const isList = rest.startsWith('list:')
  return { name: isList ? rest.slice('list:'.length) : rest, isList, inShadow }
}

/** What it is, whether in the shadow or not: `large`, `list:blocked`. */
export function firedName(listed: string) {
  return listed.replace(/^~/, '')
}

export function firedWords(listed: string) {
  const { name, isList, inShadow } = readFired(listed)
  return `${isList ? `on list ${name}` : name}${inShadow ? ' (in the shadow)' : ''}`
}

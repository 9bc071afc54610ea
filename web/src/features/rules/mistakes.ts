/** What the server found wrong with a rulebook, sorted by where a form shows it. */
import type { Problem } from '@/api/types'

export interface Mistake {
  /** Of what: a rule, a list, the policy. */
  of: string
  /** The character of the condition at which it is wrong, from 1. */
  column: number | null
  words: string
  hint: string | null
}

/** What the server says where it knows nothing better to do. */
const NO_HINT = 'a rulebook that fits the detector'

export function mistakesOf({ errors }: Pick<Problem, 'errors'>): Mistake[] {
  return errors.map(({ field, value, expected }) => {
    const [, of = field, column] = /^(.*), column (\d+)$/.exec(field) ?? []
    return { of, column: column === undefined ? null : Number(column), words: value, hint: expected === NO_HINT ? null : expected }
  })
}

/** Those of the condition itself, and the rest: a rule's other keys, and whatever else in the rulebook does not fit. */
export function atCondition(mistakes: readonly Mistake[], rule: string) {
  const isAt = ({ of, column }: Mistake) => of === `rule \`${rule}\`` && column !== null
  return { at: mistakes.filter(isAt), rest: mistakes.filter((mistake) => !isAt(mistake)) }
}

const AROUND = 36

/** What stands before the mistake, what is marked, and what comes after it; long conditions are cut. */
export function excerpt(condition: string, column: number) {
  const characters = Array.from(condition)
  const at = Math.min(Math.max(column - 1, 0), characters.length)
  const [word = ''] = /^[\p{L}\p{N}_.]*/u.exec(characters.slice(at).join('')) ?? []
  const end = at + Math.max(1, Array.from(word).length)
  return {
    before: (at > AROUND ? '…' : '') + characters.slice(Math.max(0, at - AROUND), at).join(''),
    marked: characters.slice(at, end).join('') || ' ',
    after: characters.slice(end, end + AROUND).join('') + (end + AROUND < characters.length ? '…' : ''),
  }
}

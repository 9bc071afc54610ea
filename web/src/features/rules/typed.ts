/** A rule as it stands in a form. */
import type { Outcome, RuleRequest, RuleText } from '@/api/types'
import { asInstant, asTyped, stageOf, type Stage } from './words'

export interface TypedRule {
  name: string
  when: string
  outcome: Outcome
  stage: Stage
  /** In percent. */
  share: string
  share_by: string
  from: string
  expires: string
  owner: string
}

export type TypedMistakes = Partial<Record<'name' | 'when' | 'share', string>>

/** It begins in the shadow, where it can do no harm. */
export function emptyRule(): TypedRule {
  return { name: '', when: '', outcome: 'review', stage: 'shadow', share: '', share_by: '', from: '', expires: '', owner: '' }
}

export function typedOf(rule: RuleText): TypedRule {
  return {
    name: rule.name,
    when: rule.when,
    outcome: rule.outcome,
    stage: stageOf(rule),
    share: percentOf(rule.share),
    share_by: rule.share_by ?? '',
    from: asTyped(rule.from),
    expires: asTyped(rule.expires),
    owner: rule.owner,
  }
}

/** 0.1 as 10, without the digits that a product of doubles adds. */
export function percentOf(share: number | null | undefined) {
  return share == null ? '' : String(Number((share * 100).toPrecision(12)))
}

export function shareOf(percent: string) {
  return Number((Number(percent) / 100).toPrecision(12))
}

export function shareMistake(stage: Stage, percent: string) {
  if (stage !== 'partial') return undefined
  const value = Number(percent)
  return percent.trim() !== '' && value >= 0 && value <= 100 ? undefined : 'Say for how many percent, 0 to 100.'
}

/** What is wrong before anything is sent. `taken`: names that a new rule cannot have. */
export function typedMistakes({ name, when, stage, share }: TypedRule, taken: readonly string[]): TypedMistakes {
  const mistakes = {
    name: nameMistake(name.trim(), taken),
    when: when.trim() === '' ? 'Say when it fires.' : undefined,
    share: shareMistake(stage, share),
  }
  return Object.fromEntries(Object.entries(mistakes).filter(([, words]) => words !== undefined))
}

export function nameMistake(name: string, taken: readonly string[]) {
  if (name === '') return 'Give it a name.'
  return taken.includes(name) ? 'There is one of this name already; change that one.' : undefined
}

export function requestOf(typed: TypedRule, by: string): RuleRequest {
  const partial = typed.stage === 'partial'
  return {
    when: typed.when,
    outcome: typed.outcome,
    stage: typed.stage,
    share: partial ? shareOf(typed.share) : null,
    share_by: partial && typed.share_by.trim() !== '' ? typed.share_by.trim() : null,
    from: asInstant(typed.from),
    expires: asInstant(typed.expires),
    owner: typed.owner.trim() || by,
  }
}

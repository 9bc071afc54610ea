/** Rules, lists and policy in words. */
import type { ListInShort, Outcome, PolicyText, RuleText } from '@/api/types'
import { amount, percent, score } from '@/components/ui/numbers'
import { dateTime } from '@/components/ui/times'

/** As a rule goes through them. */
export const STAGES = ['draft', 'shadow', 'partial', 'live', 'retired'] as const
export type Stage = (typeof STAGES)[number]

export const STAGE_MEANS: Record<Stage, string> = {
  draft: 'is checked, never evaluated',
  shadow: 'is evaluated and listed with decisions, changes nothing',
  partial: 'decides for a share of the keys',
  live: 'decides',
  retired: 'is kept to be read',
}

/** What comes after this stage, if nothing speaks against the rule. */
export const NEXT_STAGE: Record<Stage, Stage> = { draft: 'shadow', shadow: 'partial', partial: 'live', live: 'retired', retired: 'draft' }

export const ASKS_FOR: Record<Outcome, string> = { approve: 'approves', review: 'sends to review', decline: 'declines' }

export const KINDS = ['deny', 'allow', 'watch', 'plain'] as const
export type Kind = (typeof KINDS)[number]

export const KIND_MEANS: Record<Kind, string> = {
  deny: 'declines',
  allow: 'approves',
  watch: 'sends to review',
  plain: 'is read by rules only',
}

const isOf = <T extends string>(all: readonly T[], text: string, otherwise: T) => all.find((one) => one === text) ?? otherwise

export const stageOf = ({ stage }: Pick<RuleText, 'stage'>) => isOf(STAGES, stage, 'draft')

export const kindOf = ({ kind }: Pick<ListInShort, 'kind'>) => isOf(KINDS, kind, 'plain')

/** For whom a partial rule decides: 10.0 % by customer_id. */
export function shareWords({ stage, share, share_by }: Pick<RuleText, 'stage' | 'share' | 'share_by'>) {
  if (stage !== 'partial' || share == null) return null
  return `decides for ${percent(share)} of ${share_by ? `all ${share_by}` : 'the keys'}`
}

/** From when until when it holds, by the time of the event. */
export function timesWords({ from, expires }: Pick<RuleText, 'from' | 'expires'>) {
  const words = [from && `from ${dateTime(from)}`, expires && `until ${dateTime(expires)}`].filter(Boolean)
  return words.length === 0 ? null : `${words.join(' ')} UTC`
}

/** Whether its time is over, where events are at `now`. */
export function isOver(expires: string | null | undefined, now: string | null | undefined) {
  return expires != null && now != null && Date.parse(expires) <= Date.parse(now)
}

/** Each figure of the policy with what it is. */
export function policyFigures({ basis, daily_review_budget }: PolicyText, currency: string) {
  const budget = daily_review_budget == null ? 'no bound' : daily_review_budget.toLocaleString('en')
  const money = (value: number) => `${amount(value, currency)} ${currency}`
  const decides =
    'costs' in basis
      ? [
          { name: 'A review costs', value: money(basis.costs.review) },
          { name: 'Declining a genuine one costs', value: money(basis.costs.false_decline) },
        ]
      : [
          { name: 'Review from a score of', value: score(basis.thresholds.review) },
          { name: 'Decline from a score of', value: score(basis.thresholds.decline) },
        ]
  return [...decides, { name: 'Reviews a day', value: budget }]
}

/** 2027-01-01T00:00:00 for a control of dates, which has no zone: the page's times are UTC. */
export function asTyped(at: string | null | undefined) {
  const date = at ? new Date(at) : null
  return date && !Number.isNaN(date.getTime()) ? date.toISOString().slice(0, 19) : ''
}

/** What was typed there, as RFC 3339. */
export function asInstant(typed: string) {
  if (typed === '') return null
  return `${typed.length === 16 ? `${typed}:00` : typed}Z`
}

/** The policy as it stands in a form. */
import type { PolicyText } from '@/api/types'

export interface TypedPolicy {
  basis: 'costs' | 'thresholds'
  /** A score or a cost; so is `decline`. */
  review: string
  decline: string
  /** Empty for no bound. */
  budget: string
}

export type PolicyMistakes = Partial<Record<'review' | 'decline' | 'budget', string>>

export function typedPolicy({ basis, daily_review_budget }: PolicyText): TypedPolicy {
  const budget = daily_review_budget == null ? '' : String(daily_review_budget)
  return 'costs' in basis
    ? { basis: 'costs', review: String(basis.costs.review), decline: String(basis.costs.false_decline), budget }
    : { basis: 'thresholds', review: String(basis.thresholds.review), decline: String(basis.thresholds.decline), budget }
}

/** What no server has to be asked for; whether the figures fit each other it says. */
export function policyMistakes({ basis, review, decline, budget }: TypedPolicy): PolicyMistakes {
  const words = basis === 'costs' ? 'Say how much, 0 or more.' : 'Say from which score, 0 to 1.'
  const most = basis === 'costs' ? Infinity : 1
  return {
    ...(isFigure(review, most) ? {} : { review: words }),
    ...(isFigure(decline, most) ? {} : { decline: words }),
    ...(budget.trim() === '' || isFigure(budget, Infinity) ? {} : { budget: 'Say how many, 0 or more.' }),
  }
}

function isFigure(text: string, most: number) {
  const value = Number(text)
  return text.trim() !== '' && value >= 0 && value <= most
}

export function policyOf({ basis, review, decline, budget }: TypedPolicy): PolicyText {
  const daily_review_budget = budget.trim() === '' ? null : Number(budget)
  return basis === 'costs'
    ? { basis: { costs: { review: Number(review), false_decline: Number(decline) } }, daily_review_budget }
    : { basis: { thresholds: { review: Number(review), decline: Number(decline) } }, daily_review_budget }
}

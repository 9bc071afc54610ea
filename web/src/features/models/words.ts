/** Figures of models in words. */
import type { Drift, FeatureDrift, ModelInfo } from '@/api/types'
import { NONE, percent } from '@/components/ui/numbers'
import { dateTime } from '@/components/ui/times'

export type Role = ModelInfo['role']

export const ROLE_WORDS: Record<Role, string> = { champion: 'champion', challenger: 'challenger', registered: 'registered' }

export const figure = (value: number | null | undefined) => (value == null ? NONE : value.toFixed(3))

/** Errors are small: 0.0041. */
export const smallFigure = (value: number | null | undefined) => (value == null ? NONE : value.toFixed(4))

export const partOf = (value: number | null | undefined) => (value == null ? NONE : percent(value))

export type Stability = 'stable' | 'shifting' | 'different'

/** The usual reading of a population stability index. */
export function stabilityOf({ psi }: Pick<FeatureDrift, 'psi'>): Stability {
  if (psi < 0.1) return 'stable'
  return psi <= 0.25 ? 'shifting' : 'different'
}

/** 2018-07-01 to 2018-08-01; texts are empty where nobody knows. */
export function trainedOn({ trained_from, trained_to }: Pick<ModelInfo, 'trained_from' | 'trained_to'>) {
  if (!trained_from || !trained_to) return NONE
  return `${day(trained_from)} to ${day(trained_to)}`
}

/** The date alone where the time is midnight. */
export function day(at: string) {
  return dateTime(at).replace(' 00:00:00', '')
}

export function referenceWords(reference: Drift['reference']) {
  if (reference === 'training') return 'the rows that the champion learnt from'
  if (reference === 'earlier') return 'older decisions here'
  return 'nothing yet'
}

/** best_f1_threshold → Best F1 threshold */
export function metricName(key: string) {
  const words = key.replaceAll('_', ' ').replace(/(?<=\d) (?=\d)/g, '.')
  const named = words.replace(/\bauc\b/, 'AUC').replace(/\broc\b/, 'ROC').replace(/\bf1\b/, 'F1').replace(/\bfpr\b/, 'FPR')
  return named.charAt(0).toUpperCase() + named.slice(1)
}

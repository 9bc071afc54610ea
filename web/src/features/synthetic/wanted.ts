/** What was typed into the form, as a request or as mistakes. */
import type { GenerationRequest } from '@/api/types'

export interface Typed {
  /** `simulator` or `generator:` and its file. */
  source: string
  rows: string
  fraud_percent: string
  rate: string
  seed: string
}

export type Mistakes = Partial<Record<keyof Typed, string>>

export const EMPTY: Typed = { source: '', rows: '1000', fraud_percent: '', rate: '100', seed: '' }

const GENERATOR = 'generator:'

export const generatorValue = (name: string) => GENERATOR + name

export function mistakesOf(typed: Typed): Mistakes {
  const mistakes: Mistakes = {}
  const rows = Number(typed.rows)
  if (!Number.isInteger(rows) || rows < 1) mistakes.rows = 'A whole number from 1.'
  const fraud = optional(typed.fraud_percent)
  if (fraud !== null && !(fraud >= 0 && fraud <= 100)) mistakes.fraud_percent = 'From 0 to 100, or nothing.'
  const rate = optional(typed.rate)
  if (rate !== null && !(rate > 0)) mistakes.rate = 'More than 0, or nothing.'
  const seed = optional(typed.seed)
  if (seed !== null && !(Number.isSafeInteger(seed) && seed >= 0)) mistakes.seed = 'A whole number from 0, or nothing.'
  return mistakes
}

/** Of what has no mistakes. What is left open, the server chooses. */
export function requestOf(typed: Typed, simulator: string | null): GenerationRequest {
  const fraud = optional(typed.fraud_percent)
  const rate = optional(typed.rate)
  const seed = optional(typed.seed)
  return {
    rows: Number(typed.rows),
    source: sourceOf(typed.source, simulator),
    ...(fraud === null ? {} : { fraud_share: fraud / 100 }),
    ...(rate === null ? {} : { rate }),
    ...(seed === null ? {} : { seed }),
  }
}

function sourceOf(source: string, simulator: string | null) {
  return source.startsWith(GENERATOR) ? { generator: source.slice(GENERATOR.length) } : { simulator }
}

function optional(text: string) {
  return text.trim() === '' ? null : Number(text)
}

/** The main figures of a comparison, found in the report's figures, which are whatever that report measured. */
import type { SyntheticReport } from '@/api/types'
import { percent } from '@/components/ui/numbers'

export interface Tile {
  name: string
  value: string
  /** What one wants to see. */
  detail: string
}

interface Wanted {
  name: string
  path: readonly string[]
  detail: string
  show?: (value: number) => string
}

const three = (value: number) => value.toFixed(3)

const WANTED: readonly Wanted[] = [
  { name: 'Column shapes', path: ['column_shapes'], detail: '1 is alike' },
  { name: 'Pair trends', path: ['pair_trends'], detail: '1 is alike' },
  { name: 'Told apart, AUC', path: ['discriminator_auc'], detail: '0.5 is perfect' },
  {
    name: 'Learnt from them',
    path: ['train_synthetic_test_real_average_precision'],
    detail: 'average precision on real ones',
  },
  { name: 'Distance to real', path: ['distance_to_closest_record', 'ratio'], detail: 'near 0 are copies' },
  { name: 'Exact copies', path: ['exact_copies', 'synthetic'], detail: '0 % is private', show: percent },
]

/** Those that were measured. */
export function tilesOf(figures: SyntheticReport['figures']): Tile[] {
  return WANTED.flatMap(({ name, path, detail, show = three }) => {
    const value = at(figures, path)
    return typeof value === 'number' ? [{ name, detail, value: show(value) }] : []
  })
}

export interface Line {
  name: string
  value: string
}

/** Every number of the report, by where it stands there; long lists are left out. */
export function allFigures(figures: unknown, name = ''): Line[] {
  if (typeof figures === 'number') return [{ name, value: Number.isInteger(figures) ? String(figures) : three(figures) }]
  if (typeof figures !== 'object' || figures === null || Array.isArray(figures)) return []
  return Object.entries(figures).flatMap(([key, value]) => allFigures(value, [name, key.replaceAll('_', ' ')].filter(Boolean).join(', ')))
}

function at(figures: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inside, key) => (isRecord(inside) ? inside[key] : undefined), figures)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

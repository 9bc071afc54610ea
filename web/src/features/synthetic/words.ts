/** Generators and jobs in words. */
import type { Generation, GenerationSource, GeneratorInfo } from '@/api/types'
import { count, percent, rate } from '@/components/ui/numbers'
import { dateTime, span } from '@/components/ui/times'

export const STATE_WORDS: Record<Generation['state'], string> = {
  running: 'running',
  done: 'done',
  cancelled: 'cancelled',
  failed: 'failed',
}

export function sourceWords({ simulator, generator }: GenerationSource) {
  return generator ? `generator ${generator}` : `simulator ${simulator ?? ''}`.trim()
}

/** 2018-07-01 to 2018-08-01; rows need not have times. */
export function seenWords({ seen_from, seen_to }: Pick<GeneratorInfo, 'seen_from' | 'seen_to'>) {
  if (!seen_from || !seen_to) return 'without times'
  return `${day(seen_from)} to ${day(seen_to)}`
}

function day(at: string) {
  return dateTime(at).replace(' 00:00:00', '')
}

export function rowsWords({ rows, frauds }: Pick<GeneratorInfo, 'rows' | 'frauds'>) {
  return `${count(rows)}, ${count(frauds)} of them fraud${rows > 0 ? ` (${percent(frauds / rows)})` : ''}`
}

export function trainingWords({ training, epochs, best_epoch, losses, method }: GeneratorInfo) {
  if (training) return `being trained, epoch ${count(losses.at(-1)?.epoch ?? 0)}`
  if (epochs == null) return method === 'smote' ? 'needs no training' : 'trained'
  return `${count(epochs)} epochs${best_epoch == null ? '' : `, weights of epoch ${count(best_epoch)}`}`
}

/** Transactions a second since it began, up to its end or now. */
export function paceOf({ done, started_at, ended_at }: Generation, now: number) {
  const seconds = ((ended_at ? Date.parse(ended_at) : now) - Date.parse(started_at)) / 1_000
  return seconds > 0 ? done / seconds : 0
}

/** How far a job is: how many, how fast, how long it will take. */
export function progressWords(job: Generation, now: number) {
  const sent = `${count(job.done)} of ${count(job.rows)}`
  const pace = paceOf(job, now)
  const speed = pace > 0 ? `, ${rate(pace)} per second` : ''
  if (job.state !== 'running') return `${sent}${speed}`
  return `${sent}${speed}${pace > 0 ? `, ${span((job.rows - job.done) / pace)} left` : ''}`
}

export function outcomeWords({ frauds, labels, rejected }: Generation) {
  const bad = rejected > 0 ? `; ${count(rejected)} were rejected` : ''
  return `${count(frauds)} frauds, ${count(labels)} of them labelled${bad}`
}

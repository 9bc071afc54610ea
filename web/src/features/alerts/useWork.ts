/** What an analyst does with alerts, one or many at once, and what became of each. */
import { useCallback, useState } from 'react'
import { tryChange } from '@/api/alerts'
import type { Alert, AlertRequest } from '@/api/types'
import { conflictWords } from './words'

/** What is to be done, without who and to which version. */
export type Deed =
  | { action: 'assign'; assignee: string | null }
  | { action: 'close'; disposition: 'fraud' | 'genuine'; note?: string }

export interface Outcome {
  done: boolean
  words: string
}

export interface Work {
  busy: boolean
  /** By the id of the alert, since the last deed. */
  outcomes: ReadonlyMap<number, Outcome>
  /** Alerts as they are after it, where they are known. */
  changed: ReadonlyMap<number, Alert>
  perform: (deed: Deed, alerts: readonly Alert[]) => Promise<void>
}

/** `after` is called when all is done: what is listed has changed. */
export function useWork(by: string, after: () => void): Work {
  const [busy, setBusy] = useState(false)
  const [outcomes, setOutcomes] = useState<Work['outcomes']>(new Map())
  const [changed, setChanged] = useState<Work['changed']>(new Map())
  const perform = useCallback(
    async (deed: Deed, alerts: readonly Alert[]) => {
      setBusy(true)
      const told = new Map<number, Outcome>()
      const now = new Map<number, Alert>()
      // One after the other: each closes its transactions in one database transaction of its own.
      for (const alert of alerts) {
        const answer = await tryChange(alert.id, requestOf(deed, alert, by))
        if (answer.done) now.set(alert.id, answer.alert)
        else if (answer.conflict) now.set(alert.id, answer.conflict.alert)
        told.set(alert.id, outcomeOf(deed, answer))
      }
      setOutcomes(told)
      setChanged(now)
      setBusy(false)
      after()
    },
    [by, after],
  )
  return { busy, outcomes, changed, perform }
}

function requestOf(deed: Deed, { version }: Alert, by: string): AlertRequest {
  return { version, by, ...deed }
}

function outcomeOf(deed: Deed, answer: Awaited<ReturnType<typeof tryChange>>): Outcome {
  if (answer.done) return { done: true, words: deedWords(deed) }
  const why = answer.conflict ? conflictWords(answer.conflict, Date.now()) : answer.error.message
  return { done: false, words: `not done: ${why}` }
}

export function deedWords(deed: Deed) {
  if (deed.action === 'close') return `closed as ${deed.disposition}`
  return deed.assignee === null ? 'released' : `assigned to ${deed.assignee}`
}

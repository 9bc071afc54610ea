import { useCallback, useState } from 'react'
import { getAlert, tryChange } from '@/api/alerts'
import { useAsked } from '@/api/useAsked'
import type { Alert, AlertConflict, AlertRequest } from '@/api/types'
import { Link } from '@/components/ui/Link'
import { Notice } from '@/components/ui/Notice'
import { Unanswered } from '@/components/ui/Unanswered'
import { useNow } from '@/components/ui/useNow'
import './alerts.css'
import { AlertHead } from './AlertHead'
import { useAnalyst } from './analyst'
import { AnalystField } from './AnalystField'
import { Desk } from './Desk'
import { HistoryPanel, OthersPanel, ReasonsPanel, TransactionsPanel } from './panels'
import { conflictWords } from './words'

const EVERY_MS = 5_000

/** What is to be done, without who and to which version. */
export type Wanted = Omit<AlertRequest, 'version' | 'by'>

export function AlertView({ id }: { id: string }) {
  const ask = useCallback((signal: AbortSignal) => getAlert(id, signal), [id])
  const [asked, again] = useAsked(id, ask, EVERY_MS)
  const [analyst] = useAnalyst()
  const [wanted, setWanted] = useState(0)
  const { said, conflict, busy, perform } = useChange(analyst, again)
  if (asked.phase === 'loading') return <Waiting id={id} />
  if (asked.phase === 'failed') {
    return asked.error.notFound ? <Unknown id={id} /> : <Unanswered title={`Alert ${id} did not come`} error={asked.error} again={again} />
  }
  const { alert: stored, transactions, history, of_entity } = asked.value
  // What a change answered is newer than what was asked before it.
  const alert = conflict && conflict.alert.version > stored.version ? conflict.alert : stored
  const act = async (change: Wanted) => {
    if (analyst) return perform(alert, change)
    setWanted((times) => times + 1)
    return false
  }
  return (
    <div className="alert-page">
      <AlertHead alert={alert}>
        <AnalystField wanted={wanted} />
      </AlertHead>
      {asked.failure && <p className="alerts-old" role="status">The server does not answer: this is as it was.</p>}
      <p role="status" className="alerts-told">{said}</p>
      {conflict && <Conflict conflict={conflict} />}
      <div className="alert-columns">
        <div className="alert-main">
          <ReasonsPanel alert={alert} />
          <TransactionsPanel transactions={transactions} all={alert.transactions} />
        </div>
        <div className="alert-side">
          <Desk alert={alert} analyst={analyst} busy={busy} act={act} />
          <HistoryPanel history={history} />
          <OthersPanel alerts={of_entity} />
        </div>
      </div>
    </div>
  )
}

/** Does something with the alert, and holds what came in between until something is done. */
function useChange(by: string, again: () => void) {
  const [said, setSaid] = useState('')
  const [conflict, setConflict] = useState<AlertConflict | null>(null)
  const [busy, setBusy] = useState(false)
  const perform = async (alert: Alert, change: Wanted) => {
    setBusy(true)
    const answer = await tryChange(alert.id, { ...change, version: alert.version, by })
    setBusy(false)
    setConflict(answer.done ? null : answer.conflict)
    setSaid(answer.done ? 'Done, and in the history.' : answer.conflict ? '' : `Nothing was done: ${answer.error.message}`)
    again()
    return answer.done
  }
  return { said, conflict, busy, perform }
}

function Conflict({ conflict }: { conflict: AlertConflict }) {
  const now = useNow(true)
  const refused = conflict.title === 'not allowed'
  return (
    <div className="panel">
      <Notice tone="warning" title={refused ? 'That cannot be done' : 'Somebody was first'}>
        <p>
          {capital(conflictWords(conflict, now))}.{' '}
          {refused ? 'The alert is as it was.' : 'Nothing of yours was written over it: look again, then decide. What you typed is still there.'}
        </p>
      </Notice>
    </div>
  )
}

function capital(words: string) {
  return words.charAt(0).toUpperCase() + words.slice(1)
}

function Waiting({ id }: { id: string }) {
  return (
    <div className="alert-page" aria-busy="true">
      <h1>Alert {id}</h1>
      <div className="panel placeholder alert-place" />
    </div>
  )
}

function Unknown({ id }: { id: string }) {
  return (
    <div className="panel">
      <Notice tone="plain" title={`There is no alert ${id}`}>
        <p>
          <Link href="/alerts">To the queue</Link>
        </p>
      </Notice>
    </div>
  )
}

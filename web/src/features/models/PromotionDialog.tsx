import { useState, type SyntheticEvent } from 'react'
import { asRequestError, type RequestError } from '@/api/client'
import { promoteModel } from '@/api/models'
import { useAccess } from '@/api/access'
import type { ModelInfo, ModelPromotion } from '@/api/types'
import { Dialog } from '@/components/ui/Dialog'
import { Field } from '@/components/ui/Field'

/** What somebody wants a model to do. */
export interface Wish {
  as: 'champion' | 'challenger' | 'retired'
  id: string
  /** It was the champion before. */
  rollback?: boolean
}

type Posting =
  | { phase: 'asking' }
  | { phase: 'posting' }
  | { phase: 'done'; promotion: ModelPromotion }
  | { phase: 'refused'; error: RequestError }

interface Props {
  wish: Wish
  models: readonly ModelInfo[]
  onClose: () => void
  onDone: () => void
}

/** Asks who wants it and why, since both stand in the history for ever. */
export function PromotionDialog({ wish, models, onClose, onDone }: Props) {
  const [posting, setPosting] = useState<Posting>({ phase: 'asking' })
  const post = (by: string, reason: string) => {
    setPosting({ phase: 'posting' })
    promoteModel(wish.id, { as: wish.as, by, reason })
      .then((promotion) => {
        setPosting({ phase: 'done', promotion })
        onDone()
      })
      .catch((error: unknown) => setPosting({ phase: 'refused', error: asRequestError(error) }))
  }
  return (
    <Dialog title={titleOf(wish)} onClose={onClose}>
      {posting.phase === 'done' ? (
        <Done promotion={posting.promotion} onClose={onClose} />
      ) : (
        <>
          <p>{consequence(wish, models)}</p>
          <PromotionForm busy={posting.phase === 'posting'} posting={posting} onPost={post} onClose={onClose} />
        </>
      )}
    </Dialog>
  )
}

function titleOf({ as, id, rollback }: Wish) {
  if (rollback) return `Roll back to ${id}?`
  if (as === 'champion') return `Make ${id} the champion?`
  if (as === 'challenger') return `Let ${id} score in the shadow?`
  return `Retire ${id}?`
}

function consequence({ as }: Wish, models: readonly ModelInfo[]) {
  const champion = models.find(({ role }) => role === 'champion')?.id
  if (as === 'champion') {
    const before = champion ? ` ${champion}, which decides now, no longer does.` : ''
    return `It decides from the next transaction on.${before} It can be rolled back.`
  }
  if (as === 'challenger') return 'It scores the same transactions as the champion and decides nothing. That costs its scoring and a row each.'
  return 'It scores no longer. It stays in the registry and can be promoted again.'
}

interface FormProps {
  busy: boolean
  posting: Posting
  onPost: (by: string, reason: string) => void
  onClose: () => void
}

function PromotionForm({ busy, posting, onPost, onClose }: FormProps) {
  const { me } = useAccess()
  const [by, setBy] = useState(() => me?.name ?? rememberedAuthor())
  const [reason, setReason] = useState('')
  const [tried, setTried] = useState(false)
  const mistakes = tried ? mistakesOf(by, reason) : {}
  const submit = (event: SyntheticEvent) => {
    event.preventDefault()
    setTried(true)
    if (Object.keys(mistakesOf(by, reason)).length > 0) return
    rememberAuthor(by.trim())
    onPost(by.trim(), reason.trim())
  }
  return (
    <form onSubmit={submit} noValidate>
      <Field
        name="Who"
        mistake={mistakes.by}
        control={(props) => (
          <input
            {...props}
            autoComplete="name"
            readOnly={me?.name != null}
            value={by}
            onChange={(event) => setBy(event.target.value)}
          />
        )}
      />
      <Field
        name="Why"
        hint="It stands in the history: what was compared, and what came out."
        mistake={mistakes.reason}
        control={(props) => <textarea {...props} rows={3} value={reason} onChange={(event) => setReason(event.target.value)} />}
      />
      {posting.phase === 'refused' && <Refusal error={posting.error} />}
      <div className="dialog-actions">
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" className="button primary" disabled={busy}>
          {busy ? 'Sending …' : 'Do it'}
        </button>
      </div>
    </form>
  )
}

export function mistakesOf(by: string, reason: string): { by?: string; reason?: string } {
  return {
    ...(by.trim() === '' ? { by: 'Say who you are.' } : {}),
    ...(reason.trim() === '' ? { reason: 'Say why.' } : {}),
  }
}

function Refusal({ error: { problem } }: { error: RequestError }) {
  const without = problem.status === 409 && problem.title === 'no registry'
  return (
    <div className="refusal" role="alert">
      <p>
        Nothing was changed. {problem.title}: {problem.detail}
      </p>
      {problem.errors.map(({ field, value, expected }) => (
        <p key={field}>
          <code>{field}</code> is {value}, expected {expected}
        </p>
      ))}
      {without && (
        <p>
          Keep models with <code>redflag train --register</code>, and start the service with <code>REDFLAG_MODEL=registry</code>.
        </p>
      )}
    </div>
  )
}

function Done({ promotion: { number, model, champion, challengers }, onClose }: { promotion: ModelPromotion; onClose: () => void }) {
  return (
    <>
      <p role="status">
        Done: step {number} of the history, of {model}. {champion ? `${champion} decides` : 'No model decides'}
        {challengers.length > 0 ? `, beside ${challengers.join(', ')}.` : '.'}
      </p>
      <div className="dialog-actions">
        <button type="button" className="button primary" onClick={onClose}>
          Close
        </button>
      </div>
    </>
  )
}

const AUTHOR_KEY = 'redflag-author'

/** Storage can be forbidden; then one says it again. */
function rememberedAuthor() {
  try {
    return localStorage.getItem(AUTHOR_KEY) ?? ''
  } catch {
    return ''
  }
}

function rememberAuthor(name: string) {
  try {
    localStorage.setItem(AUTHOR_KEY, name)
  } catch {
    // It is asked for the next time.
  }
}

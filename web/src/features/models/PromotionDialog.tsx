import { useState, type SyntheticEvent } from 'react'
import { asRequestError, type RequestError } from '@/api/client'
import { promoteModel } from '@/api/models'
import { useAccess } from '@/api/access'
import type { ModelInfo, ModelPromotion } from '@/api/types'
import { Dialog } from '@/components/ui/Dialog'
import { Refusal } from '@/components/ui/Refusal'
import { signatureMistakes, signed, unsigned } from '@/components/ui/signature'
import { SignatureFields } from '@/components/ui/SignatureFields'

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
  const [signature, setSignature] = useState(() => unsigned(me?.name))
  const [tried, setTried] = useState(false)
  const submit = (event: SyntheticEvent) => {
    event.preventDefault()
    setTried(true)
    if (Object.keys(signatureMistakes(signature)).length > 0) return
    const { by, reason } = signed(signature)
    onPost(by, reason)
  }
  return (
    <form onSubmit={submit} noValidate>
      <SignatureFields
        known={me?.name != null}
        signature={signature}
        mistakes={tried ? signatureMistakes(signature) : {}}
        hint="It stands in the history: what was compared, and what came out."
        onChange={setSignature}
      />
      {posting.phase === 'refused' && <PromotionRefusal error={posting.error} />}
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

function PromotionRefusal({ error: { problem } }: { error: RequestError }) {
  return (
    <Refusal problem={problem}>
      {problem.status === 409 && problem.title === 'no registry' && (
        <p>
          Keep models with <code>redflag train --register</code>, and start the service with <code>REDFLAG_MODEL=registry</code>.
        </p>
      )}
    </Refusal>
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

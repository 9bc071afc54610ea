import { useState, type SyntheticEvent } from 'react'
import { useAccess } from '@/api/access'
import { asRequestError, type RequestError } from '@/api/client'
import { settleRun, startRun } from '@/api/retraining'
import type { RetrainingRun } from '@/api/types'
import { Dialog } from '@/components/ui/Dialog'
import { Refusal } from '@/components/ui/Refusal'
import { signatureMistakes, signed, unsigned, type Signature } from '@/components/ui/signature'
import { SignatureFields } from '@/components/ui/SignatureFields'

/** What somebody wants of runs. */
export type Wish = { to: 'start' } | { to: 'cancel' | 'approve'; run: RetrainingRun }

interface Props {
  wish: Wish
  onClose: () => void
  onDone: (words: string) => void
}

type Posting = { phase: 'asking' | 'posting' } | { phase: 'refused'; error: RequestError }

/** Asks who wants it and why, since both stand with the run. */
export function RunDialog({ wish, onClose, onDone }: Props) {
  const { me } = useAccess()
  const [signature, setSignature] = useState(() => unsigned(me?.name))
  const [tried, setTried] = useState(false)
  const [posting, setPosting] = useState<Posting>({ phase: 'asking' })
  const mistakes = signatureMistakes(signature)
  const words = wordsOf(wish)
  const submit = (event: SyntheticEvent) => {
    event.preventDefault()
    setTried(true)
    if (Object.keys(mistakes).length > 0) return
    setPosting({ phase: 'posting' })
    grant(wish, signed(signature))
      .then(({ id }) => onDone(`Done: ${words.done(id)}`))
      .catch((error: unknown) => setPosting({ phase: 'refused', error: asRequestError(error) }))
  }
  return (
    <Dialog title={words.title} onClose={onClose}>
      <p>{words.what}</p>
      <form onSubmit={submit} noValidate>
        <SignatureFields
          known={me?.name != null}
          signature={signature}
          mistakes={tried ? mistakes : {}}
          hint="It stands with the run."
          onChange={setSignature}
        />
        {posting.phase === 'refused' && <Refusal problem={posting.error.problem} />}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>
            {wish.to === 'cancel' ? 'Let it go on' : 'Cancel'}
          </button>
          <button type="submit" className="button primary" disabled={posting.phase === 'posting'}>
            {posting.phase === 'posting' ? 'Sending …' : words.action}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function grant(wish: Wish, signature: Signature) {
  return wish.to === 'start' ? startRun(signature) : settleRun(wish.run.id, wish.to, signature)
}

function wordsOf(wish: Wish) {
  if (wish.to === 'start') {
    return {
      title: 'Train again now?',
      what: 'A challenger learns from what became known, scores in the shadow, and is compared with the champion. Decisions do not wait for it.',
      action: 'Start it',
      done: (id: string) => `${id} has started.`,
    }
  }
  const { id, model } = wish.run
  if (wish.to === 'cancel') {
    return {
      title: `Stop ${id}?`,
      what: `It ends where it is${model ? `, and ${model} scores no longer` : ''}. What it did is kept.`,
      action: 'Stop it',
      done: (stopped: string) => `${stopped} is stopped.`,
    }
  }
  return {
    title: `Make ${model ?? 'the challenger'} the champion?`,
    what: `It met every criterion of ${id}, and decides from the next transaction on. It can be rolled back on the page of models.`,
    action: 'Approve it',
    done: () => `${model ?? 'the challenger'} decides.`,
  }
}

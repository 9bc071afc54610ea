import { useState, type ReactNode, type SyntheticEvent } from 'react'
import { useAccess } from '@/api/access'
import { asRequestError } from '@/api/client'
import type { Signed } from '@/api/rules'
import type { Problem, RulebookNote, RulesInForce } from '@/api/types'
import { Dialog } from '@/components/ui/Dialog'
import { Refusal } from '@/components/ui/Refusal'
import { signatureMistakes, signed, unsigned } from '@/components/ui/signature'
import { SignatureFields } from '@/components/ui/SignatureFields'
import { dateTime } from '@/components/ui/times'
import { MistakeList } from './MistakeList'
import { mistakesOf } from './mistakes'

/** What a page of rules gives to each of its dialogs. */
export interface Changing {
  /** What holds, as far as the page knows. */
  book: RulesInForce
  onDone: (note: RulebookNote) => void
  /** Somebody else was faster: what holds must be asked again. */
  onStale: () => void
  onClose: () => void
}

/** What holds at least: what was just published here may not have been asked for again yet. */
export function afterDone(book: RulesInForce, done: RulebookNote | null): RulesInForce {
  return done && done.number > book.number ? { ...book, number: done.number, published: done } : book
}

type Posting =
  | { phase: 'asking' | 'posting' }
  | { phase: 'refused'; problem: Problem }
  /** Another rulebook than `after` holds. */
  | { phase: 'stale'; after: number }

interface Props extends Changing {
  title: string
  action: string
  /** Whether everything that `children` asks for is there. */
  fits: boolean
  post: (signed: Signed) => Promise<RulebookNote>
  /** Mistakes that `children` shows itself. */
  shown?: (problem: Problem) => boolean
  /** `tried`: somebody wanted to send it, so what is missing is said. */
  children: (told: { tried: boolean; problem: Problem | null }) => ReactNode
}

/** Asks what is to be changed, by whom and why, and publishes it as the next rulebook. */
export function ChangeDialog({ title, action, fits, post, shown, children, ...changing }: Props) {
  const { book, onDone, onStale, onClose } = changing
  const { me } = useAccess()
  const [signature, setSignature] = useState(() => unsigned(me?.name))
  const [tried, setTried] = useState(false)
  const [posting, setPosting] = useState<Posting>({ phase: 'asking' })
  const mistakes = signatureMistakes(signature)
  // Once somebody was told of a newer rulebook, the change is made for that one.
  const [seen, setSeen] = useState(book.number)
  const submit = (event: SyntheticEvent) => {
    event.preventDefault()
    setTried(true)
    if (!fits || Object.keys(mistakes).length > 0) return
    const after = posting.phase === 'stale' ? book.number : seen
    setSeen(after)
    setPosting({ phase: 'posting' })
    post({ ...signed(signature), after })
      .then(onDone)
      .catch((error: unknown) => {
        const { problem } = asRequestError(error)
        if (problem.status === 409) onStale()
        setPosting(problem.status === 409 ? { phase: 'stale', after } : { phase: 'refused', problem })
      })
  }
  const problem = posting.phase === 'refused' ? posting.problem : null
  const waits = posting.phase === 'posting' || (posting.phase === 'stale' && book.number === posting.after)
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit} noValidate>
        {children({ tried, problem })}
        <SignatureFields
          known={me?.name != null}
          signature={signature}
          mistakes={tried ? mistakes : {}}
          hint="It stands in the history."
          onChange={setSignature}
        />
        {problem && !shown?.(problem) && <Refused problem={problem} />}
        {posting.phase === 'stale' && <Stale book={book} after={posting.after} />}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={waits}>
            {buttonWords(posting, action)}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function buttonWords({ phase }: Posting, action: string) {
  if (phase === 'posting') return 'Sending …'
  return phase === 'stale' ? 'Publish all the same' : action
}

function Refused({ problem }: { problem: Problem }) {
  if (problem.status === 422 && problem.title === 'a rulebook with mistakes') return <MistakeList mistakes={mistakesOf(problem)} />
  return <Refusal problem={problem} />
}

/** What somebody else published meanwhile. */
function Stale({ book: { number, published }, after }: { book: RulesInForce; after: number }) {
  return (
    <div className="refusal" role="alert">
      <p>Nothing was changed: this page showed rulebook {after}, and another one holds by now.</p>
      {number !== after && (
        <p>
          Rulebook {number}
          {published && ` by ${published.by}, ${dateTime(published.at)} UTC: ${published.change} (${published.reason})`}. The page behind
          shows it now.
        </p>
      )}
    </div>
  )
}

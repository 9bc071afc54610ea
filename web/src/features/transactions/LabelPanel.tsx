import { useState } from 'react'
import { postLabel, RequestError } from '@/api/client'
import type { Decision } from '@/api/types'
import { Panel } from '@/components/ui/Panel'
import { dateTime } from '@/components/ui/times'

type Posting =
  | { phase: 'idle' }
  | { phase: 'posting'; fraud: boolean }
  | { phase: 'accepted'; fraud: boolean }
  | { phase: 'refused'; fraud: boolean; error: RequestError | null }

interface Props {
  decision: Decision
  onLabelled: () => void
}

export function LabelPanel({ decision, onLabelled }: Props) {
  const [posting, setPosting] = useState<Posting>({ phase: 'idle' })
  const label = (fraud: boolean) => {
    setPosting({ phase: 'posting', fraud })
    postLabel({ transaction_id: decision.id, fraud })
      .then(() => {
        setPosting({ phase: 'accepted', fraud })
        onLabelled()
      })
      .catch((error: unknown) =>
        setPosting({ phase: 'refused', fraud, error: error instanceof RequestError ? error : null }),
      )
  }
  const known = posting.phase === 'accepted' ? posting.fraud : decision.label?.fraud
  return (
    <Panel title="Label" note={<LabelNote decision={decision} posting={posting} />}>
      <div className="label-choices" role="group" aria-label="What it was" aria-busy={posting.phase === 'posting'}>
        <Choice fraud chosen={known === true} posting={posting} onChoose={label} />
        <Choice fraud={false} chosen={known === false} posting={posting} onChoose={label} />
      </div>
      <p className="label-result" role="status" data-phase={posting.phase}>
        {posting.phase === 'accepted' && `Labelled as ${word(posting.fraud)}.`}
        {posting.phase === 'posting' && 'Sending …'}
        {posting.phase === 'refused' && <Refusal error={posting.error} />}
      </p>
    </Panel>
  )
}

function LabelNote({ decision, posting }: { decision: Decision; posting: Posting }) {
  if (decision.label) return <>known at {dateTime(decision.label.known_at)} UTC</>
  return <>{posting.phase === 'accepted' ? 'accepted' : 'not known yet'}</>
}

interface ChoiceProps {
  fraud: boolean
  chosen: boolean
  posting: Posting
  onChoose: (fraud: boolean) => void
}

function Choice({ fraud, chosen, posting, onChoose }: ChoiceProps) {
  return (
    <button
      type="button"
      className="button"
      aria-pressed={chosen}
      disabled={posting.phase === 'posting'}
      onClick={() => onChoose(fraud)}
    >
      {fraud ? 'Fraud' : 'Genuine'}
    </button>
  )
}

function Refusal({ error }: { error: RequestError | null }) {
  if (!error) return <>The label was not accepted: the answer could not be read.</>
  return (
    <>
      Not labelled. {error.problem.title}: {error.message}
      {error.problem.errors.map(({ field, expected }) => (
        <span key={field} className="field-error">
          <code>{field}</code> expected {expected}
        </span>
      ))}
    </>
  )
}

function word(fraud: boolean) {
  return fraud ? 'fraud' : 'genuine'
}

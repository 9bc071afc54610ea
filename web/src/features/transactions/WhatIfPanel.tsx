import { useRef, useState, type SyntheticEvent } from 'react'
import { asRequestError, type RequestError } from '@/api/client'
import { askWhatIf } from '@/api/inspection'
import type { Decision, DetectorInfo, FieldInfo, WhatIf } from '@/api/types'
import { Panel } from '@/components/ui/Panel'
import { askable, changesOf, enteredFrom, isChanged, type Entered } from './changes'
import { WhatIfField } from './WhatIfField'
import { WhatIfResult } from './WhatIfResult'

interface Told {
  phase: 'told'
  what: WhatIf
  changes: Record<string, unknown>
}

type Asking =
  | { phase: 'idle' }
  /** `before`: what stands there until the new answer is here. */
  | { phase: 'asking'; before: Told | null }
  | Told
  | { phase: 'refused'; error: RequestError }

interface Props {
  decision: Decision
  detector: DetectorInfo
}

/** What would have been decided if the event had been another, with the past as it was. */
export function WhatIfPanel({ decision, detector }: Props) {
  const fields = askable(detector.fields)
  const first = enteredFrom(decision.event, fields)
  const [entered, setEntered] = useState(first)
  const [asking, setAsking] = useState<Asking>({ phase: 'idle' })
  const changes = changesOf(decision.event, fields, entered)
  const times = useRef(0)
  // An answer that nobody waits for any more, since the form was reset, is not shown.
  const settle = (time: number, result: Asking) => {
    if (times.current === time) setAsking(result)
  }
  const ask = () => {
    const time = ++times.current
    setAsking({ phase: 'asking', before: asking.phase === 'told' ? asking : null })
    askWhatIf(decision.id, changes)
      .then((what) => settle(time, { phase: 'told', what, changes }))
      .catch((error: unknown) => settle(time, { phase: 'refused', error: asRequestError(error) }))
  }
  const reset = () => {
    times.current++
    setEntered(first)
    setAsking({ phase: 'idle' })
  }
  return (
    <Panel title="What if" note="other values, with the past as it was; nothing is stored" className="what-if">
      <div className="what-if-body">
        <Form fields={fields} entered={entered} first={first} asking={asking} onEnter={setEntered} onAsk={ask} onReset={reset} />
        <div className="what-if-answer" aria-busy={asking.phase === 'asking'}>
          <Answer asking={asking} fields={fields} />
        </div>
      </div>
    </Panel>
  )
}

interface FormProps {
  fields: readonly FieldInfo[]
  entered: Entered
  first: Entered
  asking: Asking
  onEnter: (entered: Entered) => void
  onAsk: () => void
  onReset: () => void
}

function Form({ fields, entered, first, asking, onEnter, onAsk, onReset }: FormProps) {
  const mistakes = mistakesOf(asking)
  const changed = fields.filter(({ name }) => isChanged(name, entered, first)).length
  const submit = (event: SyntheticEvent) => {
    event.preventDefault()
    onAsk()
  }
  return (
    <form className="what-if-form" onSubmit={submit} noValidate aria-label="What if">
      {fields.map((field) => (
        <WhatIfField
          key={field.name}
          field={field}
          value={entered[field.name] ?? ''}
          first={first[field.name] ?? ''}
          mistake={mistakes.get(field.name)}
          onChange={(value) => onEnter({ ...entered, [field.name]: value })}
        />
      ))}
      <div className="what-if-actions">
        <button type="submit" className="button primary" disabled={changed === 0 || asking.phase === 'asking'}>
          {asking.phase === 'asking' ? 'Asking …' : 'What if?'}
        </button>
        <button type="button" className="button" onClick={onReset}>
          Reset
        </button>
        <span className="panel-note">{changed === 0 ? 'Change a field first' : `${changed} changed`}</span>
      </div>
    </form>
  )
}

/** What the server found wrong, by field. */
function mistakesOf(asking: Asking) {
  const errors = asking.phase === 'refused' ? asking.error.problem.errors : []
  return new Map(errors.map(({ field, expected, value }) => [field, value ? `expected ${expected}, found ${value}` : `expected ${expected}`]))
}

function Answer({ asking, fields }: { asking: Asking; fields: readonly FieldInfo[] }) {
  if (asking.phase === 'idle') return <p className="what-if-none">The answer stands here: score, outcome, rules, and which features changed.</p>
  const told = asking.phase === 'asking' ? asking.before : asking.phase === 'told' ? asking : null
  if (told) return <WhatIfResult what={told.what} changes={told.changes} />
  if (asking.phase === 'asking') {
    return (
      <p className="what-if-none" role="status">
        Looking back to what was known then …
      </p>
    )
  }
  return asking.phase === 'refused' && <Refusal error={asking.error} fields={fields} />
}

/** Mistakes of fields stand at the fields; what belongs to none stands here. */
function Refusal({ error: { problem }, fields }: { error: RequestError; fields: readonly FieldInfo[] }) {
  const names = new Set(fields.map(({ name }) => name))
  const others = problem.errors.filter(({ field }) => !names.has(field))
  const atFields = problem.errors.length - others.length
  return (
    <div className="what-if-refused" role="alert">
      <p>
        <b>Not answered:</b> {problem.title}
        {problem.errors.length === 0 && problem.detail && `: ${problem.detail}`}.{' '}
        {atFields > 0 && (atFields === 1 ? 'One field is wrong, and says how.' : `${atFields} fields are wrong, and say how.`)}
      </p>
      {others.map(({ field, expected }) => (
        <p key={field}>
          <code>{field}</code> expected {expected}
        </p>
      ))}
    </div>
  )
}

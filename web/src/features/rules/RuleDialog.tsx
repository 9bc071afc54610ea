import { useRef, useState } from 'react'
import { putRule, type Signed } from '@/api/rules'
import { OUTCOMES, type DetectorInfo, type Outcome, type Problem, type RuleText } from '@/api/types'
import { Field, type FieldControl } from '@/components/ui/Field'
import { ChangeDialog, type Changing } from './ChangeDialog'
import { ConditionMistakes, MistakeList } from './MistakeList'
import { atCondition, mistakesOf, type Mistake } from './mistakes'
import { Readable } from './Readable'
import { Trial } from './Trial'
import { emptyRule, requestOf, typedMistakes, typedOf, type TypedMistakes, type TypedRule } from './typed'
import { ASKS_FOR, STAGE_MEANS, STAGES } from './words'

interface Props extends Changing {
  /** Null for a new one. */
  rule: RuleText | null
  detector: DetectorInfo | null
}

/** A rule to be written, or one to be written anew. */
export function RuleDialog({ rule, detector, ...changing }: Props) {
  const [typed, setTyped] = useState(() => (rule ? typedOf(rule) : emptyRule()))
  const [sent, setSent] = useState(typed)
  const taken = rule ? [] : changing.book.rules.map(({ name }) => name)
  const mistakes = typedMistakes(typed, taken)
  const post = (signed: Signed) => {
    setSent(typed)
    return putRule(typed.name.trim(), { ...requestOf(typed, signed.by), ...signed })
  }
  return (
    <ChangeDialog
      {...changing}
      title={rule ? `Change ${rule.name}` : 'A new rule'}
      action="Publish"
      fits={Object.keys(mistakes).length === 0}
      post={post}
      shown={isOfRulebook}
    >
      {({ tried, problem }) => {
        const found = atCondition(problem && isOfRulebook(problem) ? mistakesOf(problem) : [], sent.name.trim())
        return (
          <>
            <RuleFields
              typed={typed}
              isNew={rule === null}
              mistakes={tried ? mistakes : {}}
              change={(next) => setTyped((before) => ({ ...before, ...next }))}
              condition={sent.when}
              found={found.at}
              detector={detector}
              lists={changing.book.lists.map(({ name }) => name)}
            />
            <Trial typed={typed} currency={detector?.currency ?? ''} />
            {found.rest.length > 0 && <MistakeList mistakes={found.rest} />}
          </>
        )
      }}
    </ChangeDialog>
  )
}

const isOfRulebook = ({ status, title }: Problem) => status === 422 && title === 'a rulebook with mistakes'

interface FieldsProps {
  typed: TypedRule
  isNew: boolean
  mistakes: TypedMistakes
  change: (next: Partial<TypedRule>) => void
  /** As it was sent, and what the server found wrong with it. */
  condition: string
  found: readonly Mistake[]
  detector: DetectorInfo | null
  lists: readonly string[]
}

function RuleFields({ typed, isNew, mistakes, change, condition, found, detector, lists }: FieldsProps) {
  const text = (key: 'name' | 'owner' | 'share_by') => (props: FieldControl) => (
    <input
      {...props}
      value={typed[key]}
      autoComplete="off"
      spellCheck={false}
      readOnly={key === 'name' && !isNew}
      onChange={(event) => change({ [key]: event.target.value })}
    />
  )
  const time = (key: 'from' | 'expires') => (props: FieldControl) => (
    <input {...props} type="datetime-local" step={1} value={typed[key]} onChange={(event) => change({ [key]: event.target.value })} />
  )
  return (
    <>
      <Field name="Name" hint="What decisions list as fired." mistake={mistakes.name} control={text('name')} />
      <Condition typed={typed} mistake={mistakes.when} change={change} condition={condition} found={found} />
      {detector && <Readable detector={detector} lists={lists} />}
      <div className="rule-pair">
        <Field
          name="What it asks for"
          control={(props) => (
            <select {...props} value={typed.outcome} onChange={(event) => change({ outcome: event.target.value as Outcome })}>
              {OUTCOMES.map((outcome) => (
                <option key={outcome} value={outcome}>
                  {ASKS_FOR[outcome]}
                </option>
              ))}
            </select>
          )}
        />
        <Field
          name="Stage"
          hint={STAGE_MEANS[typed.stage]}
          control={(props) => (
            <select {...props} value={typed.stage} onChange={(event) => change({ stage: event.target.value as TypedRule['stage'] })}>
              {STAGES.map((stage) => (
                <option key={stage}>{stage}</option>
              ))}
            </select>
          )}
        />
      </div>
      {typed.stage === 'partial' && (
        <div className="rule-pair">
          <ShareField value={typed.share} mistake={mistakes.share} onChange={(share) => change({ share })} />
          <Field name="By" hint="The field whose values are in or out; the key if empty." control={text('share_by')} />
        </div>
      )}
      <div className="rule-pair">
        <Field name="From, UTC" hint="Times are of events." control={time('from')} />
        <Field name="Expires, UTC" control={time('expires')} />
      </div>
      <Field name="Owner" hint="Who answers for it; whoever publishes it if empty." control={text('owner')} />
    </>
  )
}

interface ShareProps {
  value: string
  mistake: string | undefined
  onChange: (value: string) => void
}

export function ShareField({ value, mistake, onChange }: ShareProps) {
  return (
    <Field
      name="Share in percent"
      hint="Keys that are in stay in when it grows."
      mistake={mistake}
      control={(props) => (
        <input {...props} type="number" inputMode="decimal" min={0} max={100} step="any" value={value} onChange={(event) => onChange(event.target.value)} />
      )}
    />
  )
}

type ConditionProps = Pick<FieldsProps, 'typed' | 'change' | 'condition' | 'found'> & { mistake: string | undefined }

/** The condition, with what is wrong with it and where. */
function Condition({ typed, mistake, change, condition, found }: ConditionProps) {
  const area = useRef<HTMLTextAreaElement>(null)
  const place = (column: number) => {
    area.current?.focus()
    // A column counts characters, a selection UTF-16 units.
    const at = Array.from(typed.when).slice(0, column - 1).join('').length
    area.current?.setSelectionRange(at, at)
  }
  return (
    <div className="rule-condition">
      <Field
        name="Condition"
        hint="In CEL, as tx_amount > 500.0 && is_night(tx_datetime)."
        mistake={mistake}
        control={(props) => (
          <textarea
            {...props}
            {...(found.length > 0 ? { 'aria-invalid': true, 'aria-describedby': 'condition-mistakes' } : {})}
            ref={area}
            rows={Math.min(8, Math.max(2, Math.ceil(typed.when.length / 60)))}
            spellCheck={false}
            autoCapitalize="off"
            value={typed.when}
            onChange={(event) => change({ when: event.target.value })}
          />
        )}
      />
      {found.length > 0 && <ConditionMistakes id="condition-mistakes" condition={condition} mistakes={found} onPlace={place} />}
    </div>
  )
}

import { useState } from 'react'
import { putPolicy, type Signed } from '@/api/rules'
import type { DetectorInfo, PolicyText } from '@/api/types'
import { Field } from '@/components/ui/Field'
import { Panel } from '@/components/ui/Panel'
import { Segments } from '@/components/ui/Segments'
import { ChangeDialog, type Changing } from './ChangeDialog'
import { policyMistakes, policyOf, typedPolicy, type TypedPolicy } from './policy'
import { policyFigures } from './words'

interface Props {
  policy: PolicyText
  detector: DetectorInfo | null
  /** Null for who may only look. */
  onChange: (() => void) | null
}

/** How a score becomes an outcome where no rule says otherwise. */
export function PolicyPanel({ policy, detector, onChange }: Props) {
  const least = detector?.policy.review_score_min
  const side = onChange && (
    <button type="button" className="button small" onClick={onChange}>
      Change<span className="unseen"> the policy</span>
    </button>
  )
  return (
    <Panel title="Policy" note={'costs' in policy.basis ? 'the least expected cost' : 'by score'} side={side} className="rules-policy">
      <dl className="policy-figures">
        {policyFigures(policy, detector?.currency ?? '').map(({ name, value }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        {least != null && (
          <div>
            <dt>Least score for a review, by the budget</dt>
            <dd>{least.toFixed(4)}</dd>
          </div>
        )}
      </dl>
    </Panel>
  )
}

const BASES = [
  { value: 'costs', text: 'By costs' },
  { value: 'thresholds', text: 'By score' },
] as const

const NAMES = {
  costs: { review: 'A review costs', decline: 'Declining a genuine one costs' },
  thresholds: { review: 'Review from', decline: 'Decline from' },
} as const

export function PolicyDialog({ policy, ...changing }: Changing & { policy: PolicyText }) {
  const [typed, setTyped] = useState(() => typedPolicy(policy))
  const mistakes = policyMistakes(typed)
  const change = (next: Partial<TypedPolicy>) => setTyped((before) => ({ ...before, ...next }))
  const post = (signed: Signed) => putPolicy(policyOf(typed), signed)
  return (
    <ChangeDialog {...changing} title="Change the policy" action="Publish" fits={Object.keys(mistakes).length === 0} post={post}>
      {({ tried }) => (
        <>
          <Segments label="Basis" options={BASES} value={typed.basis} onChange={(basis) => change({ basis, review: '', decline: '' })} />
          <div className="rule-pair">
            {(['review', 'decline'] as const).map((key) => (
              <Figure key={key} name={NAMES[typed.basis][key]} value={typed[key]} mistake={tried ? mistakes[key] : undefined} onChange={(value) => change({ [key]: value })} />
            ))}
          </div>
          <Figure
            name="Reviews a day"
            hint="How many people can do; empty for no bound. It holds at once, by what the champion says of the last seven days."
            value={typed.budget}
            mistake={tried ? mistakes.budget : undefined}
            onChange={(budget) => change({ budget })}
          />
        </>
      )}
    </ChangeDialog>
  )
}

interface FigureProps {
  name: string
  hint?: string
  value: string
  mistake: string | undefined
  onChange: (value: string) => void
}

function Figure({ name, hint, value, mistake, onChange }: FigureProps) {
  return (
    <Field
      name={name}
      {...(hint ? { hint } : {})}
      mistake={mistake}
      control={(props) => <input {...props} inputMode="decimal" autoComplete="off" value={value} onChange={(event) => onChange(event.target.value)} />}
    />
  )
}

import { useId, useState } from 'react'
import { moveRule, type Signed } from '@/api/rules'
import type { RuleText } from '@/api/types'
import { ChangeDialog, type Changing } from './ChangeDialog'
import { ShareField } from './RuleDialog'
import { percentOf, shareMistake, shareOf } from './typed'
import { NEXT_STAGE, STAGE_MEANS, stageOf, STAGES, type Stage } from './words'

/** Where a rule is to go next. */
export function StageDialog({ rule, ...changing }: Changing & { rule: RuleText }) {
  const [stage, setStage] = useState<Stage>(() => NEXT_STAGE[stageOf(rule)])
  const [share, setShare] = useState(() => percentOf(rule.share))
  const mistake = shareMistake(stage, share)
  const post = (signed: Signed) => moveRule(rule.name, { stage, share: stage === 'partial' ? shareOf(share) : null, ...signed })
  return (
    <ChangeDialog {...changing} title={`Move ${rule.name}`} action={`Move to ${stage}`} fits={mistake === undefined} post={post}>
      {({ tried }) => (
        <>
          <StageChoice now={stageOf(rule)} value={stage} onChange={setStage} />
          {stage === 'partial' && <ShareField value={share} mistake={tried ? mistake : undefined} onChange={setShare} />}
        </>
      )}
    </ChangeDialog>
  )
}

interface ChoiceProps {
  now: Stage
  value: Stage
  onChange: (stage: Stage) => void
}

function StageChoice({ now, value, onChange }: ChoiceProps) {
  const name = useId()
  return (
    <fieldset className="stage-choice">
      <legend className="unseen">Stage</legend>
      {STAGES.map((stage) => (
        <label key={stage}>
          <input type="radio" name={name} checked={stage === value} onChange={() => onChange(stage)} />
          <span>
            <b>{stage}</b> {stage === now && <span className="stage-now">now</span>}
            <span className="stage-means">{STAGE_MEANS[stage]}</span>
          </span>
        </label>
      ))}
    </fieldset>
  )
}

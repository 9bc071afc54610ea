import { useState } from 'react'
import type { RuleText } from '@/api/types'
import { Notice } from '@/components/ui/Notice'
import { OutcomeMark } from '@/components/ui/OutcomeBadge'
import { Panel } from '@/components/ui/Panel'
import { Segments } from '@/components/ui/Segments'
import { ASKS_FOR, isOver, shareWords, stageOf, STAGE_MEANS, timesWords } from './words'

interface Props {
  rules: readonly RuleText[]
  /** Where the time of events is. */
  now: string | null | undefined
  /** Null for who may only look. */
  steps: RuleSteps | null
}

export interface RuleSteps {
  onWrite: () => void
  onChange: (rule: RuleText) => void
  onMove: (rule: RuleText) => void
}

const GROUPS = ['all', 'deciding', 'shadow', 'draft', 'retired'] as const
type Group = (typeof GROUPS)[number]

function isIn(group: Group, rule: RuleText) {
  const stage = stageOf(rule)
  if (group === 'all') return true
  return group === 'deciding' ? stage === 'live' || stage === 'partial' : stage === group
}

/** All rules of the rulebook, as they are evaluated. */
export function RuleList({ rules, now, steps }: Props) {
  const [group, setGroup] = useState<Group>('all')
  const [text, setText] = useState('')
  const shown = rules.filter((rule) => isIn(group, rule) && `${rule.name} ${rule.when}`.toLowerCase().includes(text.trim().toLowerCase()))
  const side = steps && (
    <button type="button" className="button primary small" onClick={steps.onWrite}>
      New rule
    </button>
  )
  return (
    <Panel title="Rules" note="whatever declines is strongest, then what approves" side={side} className="rules-all">
      {rules.length > 0 && <Narrow rules={rules} group={group} onGroup={setGroup} text={text} onText={setText} />}
      {rules.length === 0 && <NoRules />}
      {rules.length > 0 && shown.length === 0 && <p className="rules-nothing">No rule is like that.</p>}
      <ul className="rule-rows">
        {shown.map((rule) => (
          <Rule key={rule.name} rule={rule} over={isOver(rule.expires, now)} steps={steps} />
        ))}
      </ul>
    </Panel>
  )
}

function NoRules() {
  return (
    <Notice tone="plain" title="No rules">
      <p>The score and lists alone decide. A rule that is written here begins in the shadow, where it changes nothing.</p>
    </Notice>
  )
}

interface NarrowProps {
  rules: readonly RuleText[]
  group: Group
  onGroup: (group: Group) => void
  text: string
  onText: (text: string) => void
}

function Narrow({ rules, group, onGroup, text, onText }: NarrowProps) {
  const options = GROUPS.map((value) => ({ value, text: `${value} ${rules.filter((rule) => isIn(value, rule)).length}` }))
  return (
    <div className="rules-narrow" role="search" aria-label="Which rules">
      <Segments label="Stage" options={options} value={group} onChange={onGroup} />
      <input
        type="search"
        className="search"
        placeholder="Name or condition"
        aria-label="Name or condition"
        value={text}
        onChange={(event) => onText(event.target.value)}
      />
    </div>
  )
}

function Rule({ rule, over, steps }: { rule: RuleText; over: boolean; steps: RuleSteps | null }) {
  const stage = stageOf(rule)
  return (
    <li className="rule" data-stage={stage}>
      <div className="rule-head">
        <h3>{rule.name}</h3>
        <p className="rule-marks">
          <span className="stage" data-stage={stage} title={STAGE_MEANS[stage]}>
            {stage}
          </span>
          <span className="rule-asks">
            <OutcomeMark outcome={rule.outcome} /> {ASKS_FOR[rule.outcome]}
          </span>
        </p>
      </div>
      <div className="rule-body">
        <code className="rule-when">{rule.when}</code>
        <Facts rule={rule} over={over} />
      </div>
      {steps && (
        <div className="rule-steps">
          <button type="button" className="button small" onClick={() => steps.onChange(rule)}>
            Change<span className="unseen"> {rule.name}</span>
          </button>
          <button type="button" className="button small" onClick={() => steps.onMove(rule)}>
            Move<span className="unseen"> {rule.name}</span>
          </button>
        </div>
      )}
    </li>
  )
}

/** For whom, how long, whose it is and why. */
function Facts({ rule, over }: { rule: RuleText; over: boolean }) {
  const facts = [shareWords(rule), timesWords(rule), rule.owner && `owner ${rule.owner}`].filter(Boolean)
  if (facts.length === 0 && !rule.reason) return <p className="rule-facts">from the detector file</p>
  return (
    <p className="rule-facts">
      {over && <b className="rule-over">expired</b>}
      {facts.map((fact) => (
        <span key={fact}>{fact}</span>
      ))}
      {rule.reason && <q>{rule.reason}</q>}
    </p>
  )
}

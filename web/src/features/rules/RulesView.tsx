import { useCallback, useState } from 'react'
import { useRefusal } from '@/api/access'
import { getDetector } from '@/api/inspection'
import { getRules, listRulebooks } from '@/api/rules'
import { useLive } from '@/api/store'
import type { DetectorInfo, RulebookNote, RulesInForce, RuleText } from '@/api/types'
import { useAsked } from '@/api/useAsked'
import { Unanswered } from '@/components/ui/Unanswered'
import { afterDone, type Changing } from './ChangeDialog'
import { HistoryPanel, RestoreDialog } from './HistoryPanel'
import { ListDialog, ListsPanel } from './ListsPanel'
import { PolicyDialog, PolicyPanel } from './PolicyPanel'
import { RuleDialog } from './RuleDialog'
import { RuleList } from './RuleList'
import './rules.css'
import { RulesHead } from './RulesHead'
import { StageDialog } from './StageDialog'

/** Somebody else may change rules, here or by the command line. */
const EVERY_MS = 5_000

/** What somebody is about to change. */
type Wish =
  | { to: 'write'; rule: RuleText | null }
  | { to: 'move'; rule: RuleText }
  | { to: 'make-list' | 'set-policy' }
  | { to: 'restore'; number: number }

export function RulesView() {
  const [rules, askRules] = useAsked('rules', getRules, EVERY_MS)
  const [history, askHistory] = useAsked('rulebooks', listRulebooks, EVERY_MS)
  const [detector, askDetector] = useAsked('detector', getDetector)
  const [wish, setWish] = useState<Wish | null>(null)
  const [done, setDone] = useState<RulebookNote | null>(null)
  const refusal = useRefusal('engineer')
  const askAll = useCallback(() => {
    askRules()
    askHistory()
    askDetector()
  }, [askRules, askHistory, askDetector])
  const finish = (note: RulebookNote) => {
    setDone(note)
    setWish(null)
    askAll()
  }
  const known = detector.phase === 'ready' ? detector.value : null
  const allowed = refusal === undefined

  return (
    <div className="rules">
      <RulesHead title="Rules" rules={rules} refusal={refusal && `You can look; changing rules ${refusal}.`} done={done} again={askAll} />
      {rules.phase === 'failed' && <Unanswered title="The rules did not come" error={rules.error} again={askAll} />}
      {rules.phase === 'loading' && <div className="panel placeholder taller" aria-busy="true" />}
      {rules.phase === 'ready' && (
        <div className="rules-grid">
          <Rules book={rules.value} onWish={allowed ? setWish : null} />
          <PolicyPanel policy={rules.value.policy} detector={known} onChange={allowed ? () => setWish({ to: 'set-policy' }) : null} />
          <ListsPanel lists={rules.value.lists} onMake={allowed ? () => setWish({ to: 'make-list' }) : null} />
          <HistoryPanel
            history={history}
            now={rules.value.number}
            again={askHistory}
            onRestore={allowed ? (number) => setWish({ to: 'restore', number }) : null}
          />
          {wish && (
            <WishDialog
              wish={wish}
              detector={known}
              changing={{ book: afterDone(rules.value, done), onDone: finish, onStale: askAll, onClose: () => setWish(null) }}
            />
          )}
        </div>
      )}
    </div>
  )
}

function Rules({ book, onWish }: { book: RulesInForce; onWish: ((wish: Wish) => void) | null }) {
  const now = useLive((state) => state.stats?.stream_time)
  const steps = onWish && {
    onWrite: () => onWish({ to: 'write', rule: null }),
    onChange: (rule: RuleText) => onWish({ to: 'write', rule }),
    onMove: (rule: RuleText) => onWish({ to: 'move', rule }),
  }
  return <RuleList rules={book.rules} now={now} steps={steps} />
}

function WishDialog({ wish, detector, changing }: { wish: Wish; detector: DetectorInfo | null; changing: Changing }) {
  switch (wish.to) {
    case 'write':
      return <RuleDialog {...changing} rule={wish.rule} detector={detector} />
    case 'move':
      return <StageDialog {...changing} rule={wish.rule} />
    case 'make-list':
      return <ListDialog {...changing} list={null} detector={detector} />
    case 'set-policy':
      return <PolicyDialog {...changing} policy={changing.book.policy} />
    case 'restore':
      return <RestoreDialog {...changing} number={wish.number} />
  }
}

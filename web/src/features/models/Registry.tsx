import type { ModelInfo, ModelList, ModelPromotion } from '@/api/types'
import { count, NONE } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { dateTime } from '@/components/ui/times'
import type { Wish } from './PromotionDialog'
import { figure, ROLE_WORDS, trainedOn } from './words'

interface Props {
  list: ModelList
  onWish: (wish: Wish) => void
}

/** All models that are known and how they came to be, what can be done with them, and what was done. */
export function Registry({ list: { models }, onWish }: Props) {
  if (models.length === 0) return null
  const back = rollbackOf(models)
  const side = back && (
    <button type="button" className="button small" onClick={() => onWish({ as: 'champion', id: back, rollback: true })}>
      Roll back to {back}
    </button>
  )
  return (
    <>
      <Panel title="All models" note="each is a training run that was kept" side={side} className="models-registry">
        <SortTable caption="All models" columns={columnsWith(onWish)} rows={models} keyOf={({ id }) => id} />
      </Panel>
      <History models={models} />
    </>
  )
}

function columnsWith(onWish: (wish: Wish) => void): Column<ModelInfo>[] {
  return [
    { name: 'Model', cell: ({ id }) => id, by: ({ id }) => id, kind: 'code', heads: true },
    {
      name: 'Role',
      cell: ({ role }) => (
        <span className="role" data-role={role}>
          {ROLE_WORDS[role]}
        </span>
      ),
      by: ({ role }) => role,
    },
    { name: 'What to do', cell: (model) => <Steps model={model} onWish={onWish} /> },
    { name: 'Average precision', cell: ({ metrics }) => figure(metrics.average_precision), by: ({ metrics }) => metrics.average_precision, kind: 'number' },
    { name: 'AUC', cell: ({ metrics }) => figure(metrics.auc_roc), by: ({ metrics }) => metrics.auc_roc, kind: 'number' },
    { name: 'Algorithm', cell: ({ algorithm }) => algorithm || NONE, by: ({ algorithm }) => algorithm },
    { name: 'Engine', cell: (model) => `${model.engine} ${model.engine_version}`.trim() || NONE, by: ({ engine }) => engine },
    { name: 'Trees', cell: ({ trees }) => (trees == null ? NONE : count(trees)), by: ({ trees }) => trees, kind: 'number' },
    { name: 'Trained on', cell: trainedOn, by: ({ trained_to }) => trained_to },
    { name: 'Rows', cell: ({ rows }) => count(rows), by: ({ rows }) => rows, kind: 'number' },
    { name: 'Of them fraud', cell: ({ frauds }) => count(frauds), by: ({ frauds }) => frauds, kind: 'number' },
    { name: 'Made', cell: ({ made_at }) => (made_at ? dateTime(made_at) : NONE), by: ({ made_at }) => made_at },
  ]
}

const STEPS: Record<ModelInfo['role'], readonly { as: Wish['as']; text: string }[]> = {
  champion: [],
  challenger: [
    { as: 'champion', text: 'Promote' },
    { as: 'retired', text: 'Retire' },
  ],
  registered: [
    { as: 'champion', text: 'Promote' },
    { as: 'challenger', text: 'Challenge' },
  ],
}

function Steps({ model: { id, role }, onWish }: { model: ModelInfo; onWish: (wish: Wish) => void }) {
  const steps = STEPS[role]
  if (steps.length === 0) return <>decides</>
  return (
    <span className="steps">
      {steps.map(({ as, text }) => (
        <button key={as} type="button" className="button small" onClick={() => onWish({ as, id })}>
          {text}
          <span className="unseen"> {id}</span>
        </button>
      ))}
    </span>
  )
}

/** The champion before this one, if it is still kept. */
export function rollbackOf(models: readonly ModelInfo[]) {
  const champion = models.find(({ role }) => role === 'champion')
  const before = champion?.promotion?.from
  return before && before !== champion.id && models.some(({ id }) => id === before) ? before : null
}

function History({ models }: { models: readonly ModelInfo[] }) {
  const promotions = models.flatMap(({ promotion }) => promotion ?? []).sort((a, b) => b.number - a.number)
  return (
    <Panel title="History" note="the newest step of each model; redflag model show ID tells all" className="models-history">
      {promotions.length === 0 && (
        <p className="models-none panel-note">
          Nothing was promoted here. A service that was started with a model file has no registry; one with{' '}
          <code>REDFLAG_MODEL=registry</code> keeps who promoted what, when and why.
        </p>
      )}
      <ol className="history">
        {promotions.map((promotion) => (
          <li key={promotion.number}>
            <Step promotion={promotion} />
          </li>
        ))}
      </ol>
    </Panel>
  )
}

function Step({ promotion: { number, at, by, reason, as, model, from } }: { promotion: ModelPromotion }) {
  return (
    <>
      <span className="history-number">#{number}</span>
      <span>
        <code>{model}</code> {stepWords(as)}
        {as !== 'retired' && as !== 'challenger' && from && from !== model && (
          <>
            {' '}
            in place of <code>{from}</code>
          </>
        )}
        <q>{reason}</q>
      </span>
      <span className="history-by">
        {by}, {dateTime(at)} UTC
      </span>
    </>
  )
}

function stepWords(as: string) {
  if (as === 'champion') return 'became the champion'
  if (as === 'challenger') return 'became a challenger'
  if (as === 'rollback') return 'became the champion again'
  return 'was retired'
}

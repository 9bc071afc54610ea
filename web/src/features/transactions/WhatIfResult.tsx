import type { ChangedFeature, Hypothetical, WhatIf } from '@/api/types'
import { FiredRules } from '@/components/ui/FiredRules'
import { score, signed } from '@/components/ui/numbers'
import { OutcomeBadge, outcomeWords } from '@/components/ui/OutcomeBadge'
import { ScoreBar } from '@/components/ui/ScoreBar'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { shiftsOf, type Shift } from './changes'
import { plain, received } from './words'

/** Features whose contributions are listed. */
const SHIFTS_MAX = 8

interface Props {
  what: WhatIf
  changes: Record<string, unknown>
}

/** Before and after, side by side. */
export function WhatIfResult({ what: { before, after, changed }, changes }: Props) {
  const shifts = shiftsOf(before.contributions, after.contributions)
  return (
    <>
      <p className="what-if-said" role="status">
        {inWords(before, after, changes)}
      </p>
      <Beside before={before} after={after} />
      {shifts.length > 0 && (
        <section className="what-if-part">
          <h3>Contributions that changed most</h3>
          <SortTable caption="Contributions that changed most" columns={shiftColumns} rows={shifts.slice(0, SHIFTS_MAX)} keyOf={({ feature }) => feature} />
        </section>
      )}
      <section className="what-if-part">
        <h3>Features that changed</h3>
        {changed.length === 0 ? (
          <p className="what-if-none">None: the model saw the same.</p>
        ) : (
          <SortTable caption="Features that changed" columns={featureColumns} rows={changed} keyOf={({ name }) => name} />
        )}
      </section>
    </>
  )
}

function inWords(before: Hypothetical, after: Hypothetical, changes: Record<string, unknown>) {
  const wished = Object.entries(changes).map(([name, value]) => (value === null ? `no ${name}` : `${name} ${received(value)}`))
  return `With ${wished.join(', ')} ${verdictWords(before, after)}.`
}

function verdictWords(before: Hypothetical, after: Hypothetical) {
  if (before.outcome === after.outcome && before.score === after.score) return 'nothing would have been otherwise'
  const scores = `at ${score(after.score)} instead of ${score(before.score)}`
  if (before.outcome === after.outcome) return `it would have been ${outcomeWords[after.outcome]} as well, ${scores}`
  return `it would have been ${outcomeWords[after.outcome]} instead of ${outcomeWords[before.outcome]}, ${scores}`
}

function Beside({ before, after }: { before: Hypothetical; after: Hypothetical }) {
  const lines = [
    { name: 'Score', of: (one: Hypothetical) => <ScoreBar score={one.score} outcome={one.outcome} /> },
    { name: 'Outcome', of: ({ outcome }: Hypothetical) => <OutcomeBadge outcome={outcome} /> },
    { name: 'Rules', of: ({ rules }: Hypothetical) => (rules.length > 0 ? <FiredRules rules={rules} /> : 'none fired') },
  ]
  return (
    <table className="what-if-beside">
      <caption className="unseen">Before and after</caption>
      <thead>
        <tr>
          <td />
          <th scope="col">As it was</th>
          <th scope="col">As it would have been</th>
        </tr>
      </thead>
      <tbody>
        {lines.map(({ name, of }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{of(before)}</td>
            <td>{of(after)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

const shiftColumns: readonly Column<Shift>[] = [
  { name: 'Feature', cell: ({ feature }) => feature, by: ({ feature }) => feature, kind: 'code', heads: true },
  { name: 'Before', cell: ({ before }) => signed(before), by: ({ before }) => before, kind: 'number' },
  { name: 'After', cell: ({ after }) => signed(after), by: ({ after }) => after, kind: 'number' },
  { name: 'Change', cell: ({ before, after }) => signed(after - before), by: ({ before, after }) => after - before, kind: 'number' },
]

const featureColumns: readonly Column<ChangedFeature>[] = [
  { name: 'Feature', cell: ({ name }) => name, by: ({ name }) => name, kind: 'code', heads: true },
  { name: 'Before', cell: ({ before }) => plain(before), by: ({ before }) => before ?? null, kind: 'number' },
  { name: 'After', cell: ({ after }) => plain(after), by: ({ after }) => after ?? null, kind: 'number' },
]

import { useMemo, useState } from 'react'
import type { GeneratorInfo, GeneratorList } from '@/api/types'
import { CurveChart, type CurveSpec } from '@/components/charts/CurveChart'
import { lookOf } from '@/components/charts/curves'
import { Notice } from '@/components/ui/Notice'
import { count } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { rowsWords, seenWords, trainingWords } from './words'

const epochAxis = { name: 'epoch', format: count, mark: count }
const three = (value: number) => value.toFixed(3)

const lossSpec: CurveSpec = {
  name: 'losses',
  label: 'Losses by epoch',
  x: epochAxis,
  y: { name: 'loss', format: three, mark: (value) => String(Number(value.toPrecision(3))) },
}

const apartSpec: CurveSpec = {
  name: 'told-apart',
  label: 'How well rows could be told from real ones, by epoch',
  x: epochAxis,
  y: { name: 'told apart', format: three, mark: String, range: [0, 1] },
}

/** What can make transactions here, and how what was trained came to be. */
export function Generators({ list: { simulator, generators } }: { list: GeneratorList }) {
  const [wanted, setWanted] = useState<string | null>(null)
  const shown = generators.find(({ name }) => name === wanted) ?? generators.find(hasCurves)
  return (
    <>
      <Panel title="What can make transactions" className="makers">
        <p className="makers-simulator">
          {simulator ? (
            <>
              The simulator <code>{simulator}</code> invents customers and frauds by rules.
            </>
          ) : (
            'This detector has no simulator.'
          )}
        </p>
        {generators.length === 0 ? (
          <NoGenerators />
        ) : (
          <SortTable caption="Generators" columns={columnsWith(shown?.name, setWanted)} rows={generators} keyOf={({ name }) => name} />
        )}
      </Panel>
      {shown && <Training generator={shown} />}
    </>
  )
}

function NoGenerators() {
  return (
    <Notice tone="plain" title="No generator">
      <p>
        Generators learn from real transactions: <code>redflag synth fit --help</code> says how. Put their files into the folder
        that the setting <code>synthetic.generators</code> names, and they appear here.
      </p>
    </Notice>
  )
}

function hasCurves({ losses, told_apart }: GeneratorInfo) {
  return losses.length > 0 || told_apart.length > 0
}

function columnsWith(shown: string | undefined, onShow: (name: string) => void): Column<GeneratorInfo>[] {
  return [
    { name: 'Generator', cell: ({ name }) => name, by: ({ name }) => name, kind: 'code', heads: true },
    { name: 'Method', cell: ({ method }) => method, by: ({ method }) => method },
    { name: 'Fits this detector', cell: ({ fits, training }) => (fits ? 'yes' : training ? 'not yet' : 'no'), by: ({ fits }) => Number(fits) },
    { name: 'Training', cell: trainingWords, by: ({ epochs }) => epochs },
    {
      name: 'Curves',
      cell: (generator) =>
        hasCurves(generator) ? (
          <button
            type="button"
            className="button small"
            aria-pressed={generator.name === shown}
            aria-label={`Show the training of ${generator.name}`}
            onClick={() => onShow(generator.name)}
          >
            Show
          </button>
        ) : (
          'none'
        ),
    },
    { name: 'Has seen', cell: seenWords, by: ({ seen_to }) => seen_to },
    { name: 'Rows', cell: rowsWords, by: ({ rows }) => rows },
    { name: 'Marks its rows', cell: ({ id }) => id, by: ({ id }) => id, kind: 'code' },
  ]
}

function Training({ generator }: { generator: GeneratorInfo }) {
  const { name, losses, told_apart, best_epoch } = generator
  const curves = useMemo(() => {
    const one = (label: string, i: number, points: readonly (readonly [number, number])[]) => ({ name: label, ...lookOf(i), points })
    return {
      losses: [
        one('generator', 0, losses.map((at) => [at.epoch, at.generator])),
        one('critic', 1, losses.map((at) => [at.epoch, at.critic])),
      ],
      apart: [one('told apart', 0, told_apart.map((at) => [at.epoch, at.distance]))],
    }
  }, [losses, told_apart])
  const marks = useMemo(() => (best_epoch == null ? [] : [{ name: 'kept', x: best_epoch, token: '--ink-3' as const }]), [best_epoch])
  const [loss, apart] = [losses.at(-1), told_apart.at(-1)]
  return (
    <div className="training">
      <Panel title={`Losses of ${name}`} note={trainingWords(generator)}>
        {loss ? (
          <CurveChart
            spec={lossSpec}
            curves={curves.losses}
            marks={marks}
            said={`at epoch ${loss.epoch} generator ${three(loss.generator)}, critic ${three(loss.critic)}`}
          />
        ) : (
          <p className="panel-note training-none">This method has no losses.</p>
        )}
      </Panel>
      <Panel title={`Told apart: ${name}`} note="0: its rows pass for real ones; 1: never">
        {apart ? (
          <CurveChart spec={apartSpec} curves={curves.apart} marks={marks} said={`${three(apart.distance)} at epoch ${apart.epoch}`} />
        ) : (
          <p className="panel-note training-none">Not measured while it was trained.</p>
        )}
      </Panel>
    </div>
  )
}

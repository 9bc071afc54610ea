import { useRef, useState, type SyntheticEvent } from 'react'
import { asRequestError, type RequestError } from '@/api/client'
import { FILE_FORMATS, generateFile, startGeneration, type FileFormat } from '@/api/synthetic'
import type { GenerationRequest, GeneratorList } from '@/api/types'
import { Field } from '@/components/ui/Field'
import { Panel } from '@/components/ui/Panel'
import { EMPTY, generatorValue, mistakesOf, requestOf, type Mistakes, type Typed } from './wanted'

type Sending =
  | { phase: 'resting' }
  | { phase: 'sending'; what: 'stream' | 'file' }
  | { phase: 'done'; words: string }
  | { phase: 'refused'; error: RequestError }

interface Props {
  sources: GeneratorList
  onStarted: () => void
}

/** Which transactions are wanted, and where they are to go: down the live stream, or into a file. */
export function MakeForm({ sources, onStarted }: Props) {
  const [typed, setTyped] = useState<Typed>(() => ({ ...EMPTY, source: firstSource(sources) }))
  const [tried, setTried] = useState(false)
  const [format, setFormat] = useState<FileFormat>('csv')
  const { sending, toStream, toFile } = useSending(onStarted)
  const mistakes = tried ? mistakesOf(typed) : {}
  const wanted = () => {
    setTried(true)
    return Object.keys(mistakesOf(typed)).length > 0 ? null : requestOf(typed, sources.simulator ?? null)
  }
  const submit = (event: SyntheticEvent) => {
    event.preventDefault()
    const request = wanted()
    if (request) toStream(request)
  }
  const download = () => {
    const request = wanted()
    // A file has no pace.
    if (request) toFile({ ...request, rate: null }, format)
  }
  const busy = sending.phase === 'sending'
  return (
    <Panel title="Make transactions" note="they are marked as synthetic wherever they show" className="make">
      <form onSubmit={submit} noValidate>
        <MakeFields sources={sources} typed={typed} mistakes={mistakes} onTyped={setTyped} />
        <div className="make-actions">
          <button type="submit" className="button primary" disabled={busy}>
            {busy && sending.what === 'stream' ? 'Sending …' : 'Send to the stream'}
          </button>
          <span className="make-file">
            <button type="button" className="button" disabled={busy} onClick={download}>
              {busy && sending.what === 'file' ? 'Making the file …' : 'Download as'}
            </button>
            <select aria-label="Format of the file" value={format} onChange={(event) => setFormat(event.target.value as FileFormat)}>
              {FILE_FORMATS.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </span>
        </div>
        <Result sending={sending} />
      </form>
    </Panel>
  )
}

function useSending(onStarted: () => void) {
  const [sending, setSending] = useState<Sending>({ phase: 'resting' })
  const latest = useRef<AbortController | null>(null)
  const refuse = (error: unknown) => setSending({ phase: 'refused', error: asRequestError(error) })
  const toStream = (wanted: GenerationRequest) => {
    setSending({ phase: 'sending', what: 'stream' })
    startGeneration(wanted)
      .then(({ id }) => {
        setSending({ phase: 'done', words: `Job ${id} began; its progress is under Jobs.` })
        onStarted()
      })
      .catch(refuse)
  }
  const toFile = (wanted: GenerationRequest, format: FileFormat) => {
    latest.current = new AbortController()
    setSending({ phase: 'sending', what: 'file' })
    generateFile(wanted, format, latest.current.signal)
      .then(({ name, file }) => {
        const called = name ?? `transactions.${format}`
        saveFile(file, called)
        setSending({ phase: 'done', words: `${called} was downloaded.` })
      })
      .catch(refuse)
  }
  return { sending, toStream, toFile }
}

function saveFile(file: Blob, name: string) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(file)
  link.download = name
  link.click()
  // The browser has taken it over by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000)
}

/** A generator that fits has learnt from real rows; without one the simulator. */
function firstSource({ simulator, generators }: GeneratorList) {
  const fitting = generators.find(({ fits, training }) => fits && !training)
  return simulator || !fitting ? 'simulator' : generatorValue(fitting.name)
}

interface FieldsProps {
  sources: GeneratorList
  typed: Typed
  mistakes: Mistakes
  onTyped: (typed: Typed) => void
}

function MakeFields({ sources: { simulator, generators }, typed, mistakes, onTyped }: FieldsProps) {
  const text = (name: keyof Typed) => ({
    inputMode: 'decimal' as const,
    value: typed[name],
    onChange: (event: { target: { value: string } }) => onTyped({ ...typed, [name]: event.target.value }),
  })
  return (
    <div className="make-fields">
      <Field
        name="What makes them"
        hint="Only what fits this detector can be chosen."
        control={(props) => (
          <select {...props} value={typed.source} onChange={(event) => onTyped({ ...typed, source: event.target.value })}>
            {simulator && <option value="simulator">simulator {simulator}</option>}
            {generators.map(({ name, fits, training }) => (
              <option key={name} value={generatorValue(name)} disabled={!fits || training}>
                generator {name}
                {training ? ', being trained' : fits ? '' : ', does not fit'}
              </option>
            ))}
          </select>
        )}
      />
      <Field name="Transactions" hint="How many." mistake={mistakes.rows} control={(props) => <input {...props} {...text('rows')} />} />
      <Field
        name="Frauds, %"
        hint="Empty: as many as the source makes."
        mistake={mistakes.fraud_percent}
        control={(props) => <input {...props} {...text('fraud_percent')} />}
      />
      <Field
        name="Transactions a second"
        hint="Of the stream; empty: as fast as they are decided."
        mistake={mistakes.rate}
        control={(props) => <input {...props} {...text('rate')} />}
      />
      <Field
        name="Seed"
        hint="The same seed makes the same rows; empty: a random one."
        mistake={mistakes.seed}
        control={(props) => <input {...props} {...text('seed')} />}
      />
    </div>
  )
}

function Result({ sending }: { sending: Sending }) {
  if (sending.phase === 'refused') {
    const { problem } = sending.error
    return (
      <div className="make-result" role="alert">
        <p className="field-mistake">
          Nothing was sent. {problem.title}: {problem.detail}
        </p>
        {problem.errors.map(({ field, value, expected }) => (
          <p key={field} className="field-mistake">
            <code>{field}</code> is {value}, expected {expected}
          </p>
        ))}
      </div>
    )
  }
  return (
    <p className="make-result" role="status">
      {sending.phase === 'done' ? sending.words : ''}
    </p>
  )
}

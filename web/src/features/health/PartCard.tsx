import type { HealthPart, PartError } from '@/api/types'
import { Panel } from '@/components/ui/Panel'
import { dateTime, span } from '@/components/ui/times'
import { useNow } from '@/components/ui/useNow'
import { StateMark } from './StateMark'
import { figureName, figureWords } from './words'

/** One part of the service: how it is, in figures, what went wrong last, and what to do. */
export function PartCard({ part: { name, status, detail, advice, figures, last_error } }: { part: HealthPart }) {
  return (
    <Panel title={figureName(name)} side={<StateMark state={status} />} className="health-part">
      <p className="health-detail">{detail}</p>
      {advice && (
        <p className="health-advice">
          <strong>What to do:</strong> {advice}
        </p>
      )}
      {figures.length > 0 && (
        <dl className="health-figures">
          {figures.map((figure) => (
            <div key={figure.name}>
              <dt>{figureName(figure.name)}</dt>
              <dd>{figureWords(figure)}</dd>
            </div>
          ))}
        </dl>
      )}
      {last_error && <LastError error={last_error} />}
    </Panel>
  )
}

function LastError({ error: { at, text } }: { error: PartError }) {
  const now = useNow(true)
  return (
    <p className="health-error">
      <strong>Last error</strong>{' '}
      <time dateTime={at} title={`${dateTime(at)} UTC`}>
        {span((now - Date.parse(at)) / 1_000)} ago
      </time>
      : {text}
    </p>
  )
}

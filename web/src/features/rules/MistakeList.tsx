import { excerpt, type Mistake } from './mistakes'

/** Everything that is wrong with a rulebook, and what to do about it. */
export function MistakeList({ mistakes }: { mistakes: readonly Mistake[] }) {
  return (
    <div className="refusal" role="alert">
      <p>Nothing was changed. {mistakes.length === 1 ? 'One thing is' : `${mistakes.length} things are`} wrong:</p>
      <ul className="rulebook-mistakes">
        {mistakes.map(({ of, column, words, hint }) => (
          <li key={`${of} ${column} ${words}`}>
            <b>
              {of}
              {column !== null && `, column ${column}`}
            </b>
            : <Code text={words} />
            {hint && (
              <>
                {' '}
                – <Code text={hint} />
              </>
            )}
          </li>
        ))}
      </ul>
    </div>
  )
}

interface ConditionProps {
  id: string
  /** The condition as it was sent. */
  condition: string
  mistakes: readonly Mistake[]
  /** Puts the cursor there. */
  onPlace: (column: number) => void
}

/** What is wrong with a condition, each with the place where it is. */
export function ConditionMistakes({ id, condition, mistakes, onPlace }: ConditionProps) {
  return (
    <div id={id} role="alert">
      <ul className="condition-mistakes">
        {mistakes.map(({ column, words, hint }) => (
          <li key={`${column} ${words}`}>
            <Place condition={condition} column={column ?? 1} onPlace={onPlace} />
            <p>
              <Code text={words} />
              {hint && (
                <>
                  {' '}
                  – <Code text={hint} />
                </>
              )}
            </p>
          </li>
        ))}
      </ul>
    </div>
  )
}

function Place({ condition, column, onPlace }: { condition: string; column: number; onPlace: (column: number) => void }) {
  const { before, marked, after } = excerpt(condition, column)
  return (
    <button type="button" className="condition-place" onClick={() => onPlace(column)} title="Put the cursor there">
      <span className="condition-column">column {column}</span>
      <code>
        {before}
        <mark>{marked}</mark>
        {after}
      </code>
    </button>
  )
}

/** Names stand between backticks. */
function Code({ text }: { text: string }) {
  return <>{text.split('`').map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : part))}</>
}

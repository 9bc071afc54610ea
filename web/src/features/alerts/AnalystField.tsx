import { useEffect, useId, useRef, useState } from 'react'
import { useAnalyst } from './analyst'

/** Without a name nothing can be done, so it is asked for where it is missing: `wanted` counts up with every attempt. */
export function AnalystField({ wanted }: { wanted: number }) {
  const [name, setName] = useAnalyst()
  if (setName) return <NameField wanted={wanted} name={name} setName={setName} />
  return (
    <p className="analyst">
      Working as <strong>{name}</strong>
    </p>
  )
}

function NameField({ wanted, name, setName }: { wanted: number; name: string; setName: (name: string) => void }) {
  const [typed, setTyped] = useState(name)
  const input = useRef<HTMLInputElement>(null)
  const id = useId()
  const missing = wanted > 0 && name === ''
  useEffect(() => {
    if (missing) input.current?.focus()
  }, [missing, wanted])
  return (
    <div className="analyst" data-missing={missing || undefined}>
      <label htmlFor={id}>Working as</label>
      <input
        ref={input}
        id={id}
        className="search"
        placeholder="your name"
        autoComplete="username"
        maxLength={100}
        value={typed}
        aria-invalid={missing || undefined}
        aria-describedby={missing ? `${id}-why` : undefined}
        onChange={(event) => setTyped(event.target.value)}
        onBlur={() => setName(typed)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter') return
          setName(typed)
          event.currentTarget.blur()
        }}
      />
      {missing && (
        <span id={`${id}-why`} className="analyst-why" role="alert">
          say who you are first
        </span>
      )}
    </div>
  )
}

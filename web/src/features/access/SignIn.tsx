import { useState, type SyntheticEvent } from 'react'
import { signIn } from '@/api/access'
import { asRequestError } from '@/api/client'
import { liveFeed } from '@/api/live'
import { Field } from '@/components/ui/Field'
import './access.css'

type Trying = { phase: 'typing' } | { phase: 'asking' } | { phase: 'refused'; words: string }

/** The way in: a key or token is shown to the server once, and is not kept by the page. */
export function SignIn() {
  const [key, setKey] = useState('')
  const [trying, setTrying] = useState<Trying>({ phase: 'typing' })
  const submit = (event: SyntheticEvent) => {
    event.preventDefault()
    if (key.trim() === '') {
      setTrying({ phase: 'refused', words: 'Paste a key or a token.' })
      return
    }
    setTrying({ phase: 'asking' })
    signIn(key.trim()).then(liveFeed.retryNow, (error: unknown) =>
      setTrying({ phase: 'refused', words: wordsOf(asRequestError(error)) }),
    )
  }
  return (
    <section className="sign-in" aria-labelledby="sign-in-title">
      <h1 id="sign-in-title">Sign in</h1>
      <p>This server wants to know who you are. Whoever looks after it makes you a key.</p>
      <form onSubmit={submit} noValidate>
        <Field
          name="API key or token"
          hint="begins with rf_; it is not kept in this browser"
          mistake={trying.phase === 'refused' ? trying.words : undefined}
          control={(props) => (
            <input
              {...props}
              className="search"
              type="password"
              autoComplete="current-password"
              autoFocus
              value={key}
              onChange={(event) => setKey(event.target.value)}
            />
          )}
        />
        <button type="submit" className="button" disabled={trying.phase === 'asking'}>
          {trying.phase === 'asking' ? 'Signing in' : 'Sign in'}
        </button>
      </form>
    </section>
  )
}

function wordsOf({ problem, message }: { problem: { status: number }; message: string }) {
  return problem.status === 401 ? 'This key is not good: it is not known, has expired or was revoked.' : message
}

import type { RequestError } from '@/api/client'
import { Notice } from './Notice'

interface Props {
  /** What did not come. */
  title: string
  error: RequestError
  again: () => void
}

/** A question that got no answer: what is missing, why, and another try. */
export function Unanswered({ title, error, again }: Props) {
  const retry = (
    <button type="button" className="button" onClick={again}>
      Try again
    </button>
  )
  return (
    <Notice tone="error" title={title} actions={retry}>
      <p>
        {error.problem.title}. {error.problem.detail}
      </p>
    </Notice>
  )
}

import { Field } from './Field'
import type { Signature, SignatureMistakes } from './signature'

interface Props {
  /** The server knows who asks, so nobody has to say it. */
  known: boolean
  signature: Signature
  mistakes: SignatureMistakes
  hint: string
  onChange: (signature: Signature) => void
}

/** Who and why, at the end of a form. */
export function SignatureFields({ known, signature, mistakes, hint, onChange }: Props) {
  return (
    <>
      {!known && (
        <Field
          name="Who"
          mistake={mistakes.by}
          control={(props) => (
            <input {...props} autoComplete="name" value={signature.by} onChange={(event) => onChange({ ...signature, by: event.target.value })} />
          )}
        />
      )}
      <Field
        name="Why"
        hint={known ? `${hint} Signed by ${signature.by}.` : hint}
        mistake={mistakes.reason}
        control={(props) => (
          <textarea {...props} rows={2} value={signature.reason} onChange={(event) => onChange({ ...signature, reason: event.target.value })} />
        )}
      />
    </>
  )
}

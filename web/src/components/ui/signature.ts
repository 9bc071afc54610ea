/** Who does something and why: asked wherever both stand in a history for ever. */

export interface Signature {
  by: string
  reason: string
}

export type SignatureMistakes = Partial<Record<keyof Signature, string>>

const AUTHOR_KEY = 'redflag-author'

/** What a form begins with: who is signed in, or who signed the last time in this browser. */
export function unsigned(name: string | null | undefined): Signature {
  return { by: name ?? rememberedAuthor(), reason: '' }
}

export function signatureMistakes({ by, reason }: Signature): SignatureMistakes {
  return {
    ...(by.trim() === '' ? { by: 'Say who you are.' } : {}),
    ...(reason.trim() === '' ? { reason: 'Say why.' } : {}),
  }
}

/** As it is sent; the name is remembered for the next time. */
export function signed({ by, reason }: Signature): Signature {
  const signature = { by: by.trim(), reason: reason.trim() }
  rememberAuthor(signature.by)
  return signature
}

/** Storage can be forbidden; then one says it again. */
function rememberedAuthor() {
  try {
    return localStorage.getItem(AUTHOR_KEY) ?? ''
  } catch {
    return ''
  }
}

function rememberAuthor(name: string) {
  try {
    localStorage.setItem(AUTHOR_KEY, name)
  } catch {
    // It is asked for the next time.
  }
}

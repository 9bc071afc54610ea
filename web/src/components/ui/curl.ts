/** curl as one types it: a line for each part, the body wrapped to a width that is read without scrolling. */

export interface CurlParts {
  url: string
  headers?: readonly string[]
  options?: readonly string[]
  body?: string
}

export function curl({ url, headers = [], options = [], body }: CurlParts) {
  const lines = [
    `curl ${/[?&]/.test(url) ? quoted(url) : url}`,
    ...options,
    ...headers.map((header) => `-H ${quoted(header)}`),
    ...(body === undefined ? [] : [`${body.includes('}\n{') ? '--data-binary' : '-d'} ${quoted(body)}`]),
  ]
  return lines.join(' \\\n  ')
}

/** JSON with as many fields on a line as fit. */
export function wrappedJson(fields: Readonly<Record<string, unknown>>, width = 64) {
  const parts = Object.entries(fields).map(([name, value]) => `"${name}": ${JSON.stringify(value)}`)
  const lines: string[] = []
  for (const part of parts) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + part.length + 2 <= width) lines[lines.length - 1] = `${last}, ${part}`
    else lines.push(part)
  }
  return `{${lines.join(',\n       ')}}`
}

function quoted(text: string) {
  return `'${text.replaceAll("'", "'\\''")}'`
}

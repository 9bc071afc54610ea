/** A curl command for every operation, to be run as it stands, from the top of the page to its end. */
import { exampleEvent } from '@/api/examples'
import { curl, wrappedJson, type CurlParts } from '@/components/ui/curl'
import { inside, resolve, type Content, type OpenApi, type Operation, type Parameter, type Schema } from './openapi'

export interface Setting {
  origin: string
  detector: string
  /** The time of the stream: an event of another time might be late, or too far ahead. */
  now: string
}

/** The id that the examples post, look up and label. */
const ID = 'first'

/** Query parameters worth showing; the others are in the table. */
const ASKED: Readonly<Record<string, string>> = { limit: '10', outcome: 'decline' }

export function commandOf(document: OpenApi, operation: Operation, setting: Setting) {
  const parts: CurlParts = { url: setting.origin + placeOf(operation) }
  if (operation.responses?.['101']) return curl({ ...parts, ...upgrade })
  const [type, body] = bodyOf(document, operation.requestBody?.content, setting) ?? []
  // With a body curl posts by itself.
  const said = operation.method === 'get' || (operation.method === 'post' && body !== undefined)
  const options = said ? [] : [`-X ${operation.method.toUpperCase()}`]
  return curl({ ...parts, options, headers: type === undefined ? [] : [`content-type: ${type}`], body })
}

/** Older builds of curl know no WebSocket, but all can ask for one and print what comes. */
const upgrade = {
  options: ['--no-buffer --http1.1 --output -'],
  headers: [
    'connection: upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: cmVkZmxhZyBkb2VzIGl0IQ==',
  ],
}

function placeOf({ path, parameters = [] }: Operation) {
  const query = parameters.filter(({ in: where, name }) => where === 'query' && name in ASKED)
  const asked = query.map(({ name }) => `${name}=${ASKED[name] ?? ''}`).join('&')
  const filled = parameters.filter(({ in: where }) => where === 'path').reduce(fill, path)
  return asked ? `${filled}?${asked}` : filled
}

function fill(path: string, { name, example, schema }: Parameter) {
  return path.replace(`{${name}}`, typeof example === 'string' ? encodeURIComponent(example) : schema?.type === 'integer' ? '1' : ID)
}

function bodyOf(document: OpenApi, content: Content | undefined, setting: Setting): [string, string] | null {
  const [type, media] = Object.entries(content ?? {})[0] ?? []
  if (type === undefined || !media) return null
  if (media.example !== undefined) return [type, JSON.stringify(media.example, null, 2)]
  const { example } = resolve(document, media.schema ?? {}).schema
  if (typeof example === 'object' && example) return [type, wrappedJson(Object.fromEntries(Object.entries(example)))]
  if (type.includes('ndjson')) return [type, ['second', 'third'].map((id) => line(id, setting)).join('\n')]
  const fields = inside(document, media.schema ?? {}).fields
  // The document cannot know the fields of a transaction: they are the detector's.
  if (fields.length === 0) return [type, wrappedJson(eventOf(ID, setting))]
  return [type, wrappedJson(Object.fromEntries(fields.map(({ name, schema }) => [name, sampleOf(name, schema)])))]
}

function line(id: string, setting: Setting) {
  return JSON.stringify(eventOf(id, setting))
}

function eventOf(id: string, { detector, now }: Setting) {
  return exampleEvent(detector, id, now) ?? { [`fields of ${detector}`]: '…' }
}

function sampleOf(name: string, schema: Schema): unknown {
  if (name === 'transaction_id') return ID
  if (typeof schema.example === 'string') return schema.example
  if (schema.type === 'boolean') return true
  if (schema.type === 'number' || schema.type === 'integer') return 1
  return '…'
}

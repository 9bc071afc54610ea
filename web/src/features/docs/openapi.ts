/**
 * The part of OpenAPI 3.1 that this page reads, and the questions it asks of a document. Only what the server's own
 * document uses is understood; the rest of the standard is left to tools made for it.
 */

export interface OpenApi {
  info: { title: string; version: string; description?: string }
  tags?: readonly { name: string; description?: string }[]
  paths: Readonly<Record<string, PathItem>>
  components?: { schemas?: Readonly<Record<string, Schema>> }
}

type PathItem = Readonly<Partial<Record<Method, OperationObject>>>

interface OperationObject {
  operationId?: string
  tags?: readonly string[]
  summary?: string
  description?: string
  parameters?: readonly Parameter[]
  requestBody?: { description?: string; content: Content }
  responses?: Readonly<Record<string, { description?: string; content?: Content }>>
}

export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header' | 'cookie'
  description?: string
  required?: boolean
  schema?: Schema
  example?: unknown
}

export type Content = Readonly<Record<string, { schema?: Schema; example?: unknown }>>

export interface Schema {
  $ref?: string
  type?: string | readonly string[]
  format?: string
  description?: string
  example?: unknown
  enum?: readonly unknown[]
  properties?: Readonly<Record<string, Schema>>
  required?: readonly string[]
  items?: Schema
  additionalProperties?: Schema | boolean
  allOf?: readonly Schema[]
  oneOf?: readonly Schema[]
  anyOf?: readonly Schema[]
}

export const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const
export type Method = (typeof METHODS)[number]

export interface Operation extends OperationObject {
  /** Its place on the page. */
  id: string
  method: Method
  path: string
}

export interface Group {
  tag: string
  description: string | undefined
  operations: readonly Operation[]
}

/** Where the document gives its tags no order: as one meets them, from a transaction to the health of the service. */
const READING_ORDER = ['transactions', 'decisions', 'labels', 'alerts', 'synthetic', 'models', 'service']

export function readDocument(answer: unknown): OpenApi | null {
  const document = answer as Partial<OpenApi> | null
  return typeof document === 'object' && document?.paths && document.info ? (document as OpenApi) : null
}

export function groupsOf(document: OpenApi): Group[] {
  const groups = new Map<string, Operation[]>()
  for (const operation of operationsOf(document)) {
    const tag = operation.tags?.[0] ?? 'other'
    groups.set(tag, [...(groups.get(tag) ?? []), operation])
  }
  const order = document.tags?.map(({ name }) => name) ?? READING_ORDER
  const place = (tag: string) => (order.includes(tag) ? order.indexOf(tag) : order.length)
  return [...groups]
    .sort(([a], [b]) => place(a) - place(b))
    .map(([tag, operations]) => ({
      tag,
      description: document.tags?.find(({ name }) => name === tag)?.description,
      operations: operations.sort(byPath),
    }))
}

function operationsOf({ paths }: OpenApi) {
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.flatMap((method): Operation[] => {
      const operation = item[method]
      return operation ? [{ ...operation, method, path, id: operation.operationId ?? `${method}${path}` }] : []
    }),
  )
}

/** The versioned API first: what stands beside it is for probes and old habits. */
function byPath(a: Operation, b: Operation) {
  const beside = (path: string) => (path.startsWith('/v1/') ? 0 : 1)
  return beside(a.path) - beside(b.path) || a.path.localeCompare(b.path)
}

/** A schema with its reference followed. What is said at the reference wins: it is about this use. */
export function resolve(document: OpenApi, schema: Schema): { name: string | null; schema: Schema } {
  const name = schema.$ref?.split('/').at(-1)
  const target = name === undefined ? undefined : document.components?.schemas?.[name]
  if (name === undefined || !target) return { name: null, schema }
  return { name, schema: { ...target, description: schema.description ?? target.description } }
}

/** A type in a few words: `string, date-time`, `DecisionSummary[]`, `"approve" | "review" | "decline"`. */
export function typeOf(document: OpenApi, schema: Schema): string {
  const { name, schema: target } = resolve(document, schema)
  if (target.enum) return target.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (name !== null) return name
  const choices = target.oneOf ?? target.anyOf
  if (choices) return choices.map((choice) => typeOf(document, choice)).join(' | ')
  if (target.type === 'array') return `${atomic(typeOf(document, target.items ?? {}))}[]`
  if (typeof target.additionalProperties === 'object') return `object of ${typeOf(document, target.additionalProperties)}`
  const type = typeof target.type === 'string' ? target.type : (target.type?.join(' | ') ?? 'any')
  return target.format === 'date-time' ? `${type}, RFC 3339` : type
}

const atomic = (type: string) => (type.includes(' ') ? `(${type})` : type)

export interface Field {
  name: string
  schema: Schema
  required: boolean
}

/** What can be unfolded under a schema: its fields, through arrays, references and null. */
export interface Inside {
  /** Which named schemas were entered on the way, so that a schema inside itself is not unfolded for ever. */
  names: readonly string[]
  fields: readonly Field[]
  /** Where it is one of several. */
  variants: readonly Schema[]
}

export function inside(document: OpenApi, schema: Schema): Inside {
  const { name, schema: target } = resolve(document, schema)
  const names = name === null ? [] : [name]
  if (target.type === 'array' && target.items) return entered(names, inside(document, target.items))
  if (typeof target.additionalProperties === 'object') return entered(names, inside(document, target.additionalProperties))
  const choices = (target.oneOf ?? target.anyOf ?? []).filter(({ type }) => type !== 'null')
  const [only] = choices
  if (choices.length === 1 && only) return entered(names, inside(document, only))
  if (choices.length > 1) return { names, fields: [], variants: choices }
  const parts = (target.allOf ?? []).map((part) => inside(document, part))
  const own = Object.entries(target.properties ?? {}).map(([field, of]) => {
    return { name: field, schema: of, required: target.required?.includes(field) ?? false }
  })
  return { names, fields: [...parts.flatMap(({ fields }) => fields), ...own], variants: [] }
}

function entered(names: readonly string[], inner: Inside): Inside {
  return { ...inner, names: [...names, ...inner.names] }
}

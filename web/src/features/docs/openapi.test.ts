/** Against the document that the binary prints, so a schema of a new kind shows here first. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { commandOf } from './commands'
import { groupsOf, inside, readDocument, typeOf, type OpenApi } from './openapi'

const document = printed()
const operations = groupsOf(document).flatMap((group) => group.operations)
const named = (name: string) => ({ $ref: `#/components/schemas/${name}` })
const fields = (name: string) => inside(document, named(name)).fields.map((field) => field.name)

function printed(): OpenApi {
  const read = readDocument(JSON.parse(readFileSync('openapi.json', 'utf8')))
  if (!read) throw new Error('openapi.json is no OpenAPI document')
  return read
}

function command(id: string, detector = 'card') {
  const operation = operations.find((one) => one.id === id)
  if (!operation) throw new Error(`no operation ${id}`)
  return commandOf(document, operation, { origin: 'http://here', detector, now: '2026-01-02T03:04:05.678Z' })
}

it('is no document if it has no paths', () => {
  expect(readDocument({ title: 'Not found' })).toBeNull()
  expect(readDocument(null)).toBeNull()
})

it('groups operations, transactions first and what is beside the API last', () => {
  const groups = groupsOf(document).map(({ tag, operations }) => [tag, operations.map(({ path }) => path)])
  expect(groups[0]).toEqual(['transactions', ['/v1/transactions', '/v1/transactions/batch', '/predict']])
  expect(operations).toHaveLength(Object.values(document.paths).flatMap((item) => Object.keys(item)).length)
})

describe('types', () => {
  it.each([
    [named('Outcome'), '"approve" | "review" | "decline"'],
    [{ type: 'array', items: named('DecisionSummary') }, 'DecisionSummary[]'],
    [{ type: 'array', items: named('SourceKind') }, '("simulator" | "http" | "kafka")[]'],
    [{ type: ['number', 'null'], format: 'double' }, 'number | null'],
    [{ oneOf: [named('LabelKnown'), { type: 'null' }] }, 'LabelKnown | null'],
    [{ type: 'object', additionalProperties: { type: 'number' } }, 'object of number'],
    [{ type: 'string', format: 'date-time' }, 'string, RFC 3339'],
  ])('%j', (schema, words) => expect(typeOf(document, schema)).toBe(words))

  it('unfold through what they are made of', () => {
    expect(fields('Decision')).toEqual(expect.arrayContaining([...fields('DecisionSummary'), 'event', 'versions']))
    expect(inside(document, named('BatchLine')).variants).toHaveLength(2)
  })
})

describe('commands', () => {
  it('post an event of the detector that runs', () => {
    expect(command('decide')).toContain('"tx_datetime": "2026-01-02T03:04:05Z"')
    expect(command('decide', 'paysim')).toContain('"nameDest"')
    expect(command('decide', 'mine')).toContain('fields of mine')
  })

  it('post a line for each event of a batch', () => {
    const body = /--data-binary '(.*)'$/s.exec(command('decide_batch'))?.[1] ?? ''
    expect(body.split('\n').map((line) => (JSON.parse(line) as { transaction_id: string }).transaction_id)).toEqual([
      'second',
      'third',
    ])
  })

  it('fill in the address', () => {
    expect(command('decision')).toBe('curl http://here/v1/decisions/first')
    expect(command('decisions')).toBe("curl 'http://here/v1/decisions?limit=10&outcome=decline'")
  })
})

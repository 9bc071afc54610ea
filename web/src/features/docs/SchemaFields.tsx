import type { ReactNode } from 'react'
import { inside, resolve, typeOf, type Field, type OpenApi, type Schema } from './openapi'
import { Prose } from './Prose'

interface Props {
  document: OpenApi
  schema: Schema
  /** Named schemas that this one stands in. */
  within?: readonly string[]
}

/** The fields of a schema, each with what can be unfolded under it. */
export function SchemaFields({ document, schema, within = [] }: Props) {
  const { names, fields, variants } = inside(document, schema)
  const here = [...within, ...names]
  if (variants.length > 0) {
    return (
      <div className="variants">
        {variants.map((variant, i) => (
          <Unfolding key={i} document={document} schema={variant} within={here}>
            <span className="field-head">
              <span className="field-type">
                {i > 0 && 'or '}
                {typeOf(document, variant)}
              </span>
            </span>
            <Description schema={variant} />
          </Unfolding>
        ))}
      </div>
    )
  }
  return (
    <ul className="fields">
      {fields.map((field) => (
        <li key={field.name}>
          <Unfolding document={document} schema={field.schema} within={here}>
            <FieldHead document={document} field={field} />
            <Description schema={resolve(document, field.schema).schema} />
          </Unfolding>
        </li>
      ))}
    </ul>
  )
}

export function canUnfold(document: OpenApi, schema: Schema, within: readonly string[] = []) {
  const { names, fields, variants } = inside(document, schema)
  return fields.length + variants.length > 0 && !names.some((name) => within.includes(name))
}

function Unfolding({ document, schema, within = [], children }: Props & { children: ReactNode }) {
  if (!canUnfold(document, schema, within)) return <div className="doc-field">{children}</div>
  return (
    <details className="doc-field">
      <summary>{children}</summary>
      <SchemaFields document={document} schema={schema} within={within} />
    </details>
  )
}

function FieldHead({ document, field }: { document: OpenApi; field: Field }) {
  return (
    <span className="field-head">
      <code className="field-name">{field.name}</code>
      <span className="field-type">{typeOf(document, field.schema)}</span>
      {!field.required && <span className="field-optional">optional</span>}
    </span>
  )
}

function Description({ schema }: { schema: Schema }) {
  // A nullable field carries its text inside the choice.
  const text = schema.description ?? schema.oneOf?.find(({ description }) => description)?.description
  return (
    text && (
      <span className="field-text">
        <Prose text={text} />
      </span>
    )
  )
}

import type { ReactNode } from 'react'
import { Command } from '@/components/ui/Command'
import { commandOf, type Setting } from './commands'
import { typeOf, type Content, type OpenApi, type Operation, type Parameter } from './openapi'
import { Prose } from './Prose'
import { canUnfold, SchemaFields } from './SchemaFields'

interface Props {
  document: OpenApi
  operation: Operation
  setting: Setting
}

export function OperationCard({ document, operation, setting }: Props) {
  const { id, method, path, summary, description, parameters = [], requestBody, responses = {} } = operation
  return (
    <article className="panel operation" id={id} aria-labelledby={`${id}-title`}>
      <header className="operation-head">
        <h3 id={`${id}-title`}>
          <Method method={method} />
          <a href={`#${id}`} className="operation-path">
            {path}
          </a>
        </h3>
        {summary && (
          <p className="operation-summary">
            <Prose text={summary} />
          </p>
        )}
        {description && (
          <p>
            <Prose text={description} />
          </p>
        )}
      </header>
      <div className="operation-body">
        <div className="operation-parts">
          {parameters.length > 0 && (
            <Part title="Parameters">
              <Parameters document={document} parameters={parameters} />
            </Part>
          )}
          {requestBody && (
            <Part title="Request body" note={mediaOf(requestBody.content)}>
              {requestBody.description && (
                <p className="part-text">
                  <Prose text={requestBody.description} />
                </p>
              )}
              <Body document={document} content={requestBody.content} />
            </Part>
          )}
          <Part title="Responses">
            {Object.entries(responses).map(([status, response]) => (
              <Response key={status} document={document} status={status} {...response} />
            ))}
          </Part>
        </div>
        <div className="operation-example">
          <Command text={commandOf(document, operation, setting)} label={`Example of ${method.toUpperCase()} ${path}`} />
        </div>
      </div>
    </article>
  )
}

export function Method({ method }: { method: Operation['method'] }) {
  return (
    <span className="method" data-method={method}>
      {method.toUpperCase()}
    </span>
  )
}

function Part({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <section className="part">
      <h4>
        {title}
        {note && <span className="part-note">{note}</span>}
      </h4>
      {children}
    </section>
  )
}

function Parameters({ document, parameters }: { document: OpenApi; parameters: readonly Parameter[] }) {
  return (
    <ul className="fields">
      {parameters.map(({ name, in: where, schema, required, description }) => (
        <li key={`${where} ${name}`} className="doc-field">
          <span className="field-head">
            <code className="field-name">{name}</code>
            <span className="field-type">{typeOf(document, schema ?? {})}</span>
            <span className="field-optional">{required ? `in the ${where}` : `in the ${where}, optional`}</span>
          </span>
          {description && (
            <span className="field-text">
              <Prose text={description} />
            </span>
          )}
        </li>
      ))}
    </ul>
  )
}

function Body({ document, content }: { document: OpenApi; content: Content }) {
  const schema = Object.values(content)[0]?.schema
  return schema && canUnfold(document, schema) ? <SchemaFields document={document} schema={schema} /> : null
}

interface ResponseProps {
  document: OpenApi
  status: string
  description?: string
  content?: Content
}

function Response({ document, status, description, content = {} }: ResponseProps) {
  const schema = Object.values(content)[0]?.schema
  const head = (
    <>
      <span className="status" data-class={status[0]}>
        {status}
      </span>
      {schema && <span className="field-type">{typeOf(document, schema)}</span>}
      <span className="response-text">{description ? <Prose text={description} /> : meanings[status]}</span>
      {!mediaOf(content).startsWith('application/json') && <span className="part-note">{mediaOf(content)}</span>}
    </>
  )
  if (!schema || !canUnfold(document, schema)) return <div className="response">{head}</div>
  return (
    <details className="response">
      <summary>{head}</summary>
      <SchemaFields document={document} schema={schema} />
    </details>
  )
}

function mediaOf(content: Content) {
  return Object.keys(content).join(', ')
}

/** Said of a status where the document says nothing more. */
const meanings: Readonly<Record<string, string>> = {
  '404': 'not found',
  '413': 'too large',
  '422': 'something in the request is wrong',
  '503': 'not now, try again',
}

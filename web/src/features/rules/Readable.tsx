import type { DetectorInfo } from '@/api/types'

interface Props {
  detector: DetectorInfo
  lists: readonly string[]
}

/** What a condition can read: fields of a transaction, features, lists. */
export function Readable({ detector: { fields, features }, lists }: Props) {
  const names = new Set(fields.map(({ name }) => name))
  return (
    <details className="readable">
      <summary>What a condition can read</summary>
      <div className="readable-names" tabIndex={0} role="region" aria-label="Names that a condition can read">
        <dl>
          <dt>Fields</dt>
          {fields
            .filter(({ role }) => role !== 'label')
            .map(({ name, role, values }) => (
              <dd key={name}>
                <code>{name}</code> {values.length > 0 ? values.map((value) => `'${value}'`).join(', ') : role}
              </dd>
            ))}
          <dt>Features</dt>
          {features
            .filter(({ name }) => !names.has(name))
            .map(({ name, text }) => (
              <dd key={name}>
                <code>{name}</code> {text}
              </dd>
            ))}
          {lists.length > 0 && <dt>Lists</dt>}
          {lists.map((name) => (
            <dd key={name}>
              <code>… in lists.{name}</code>
            </dd>
          ))}
        </dl>
      </div>
    </details>
  )
}

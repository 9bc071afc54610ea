import { useEffect, useMemo, useState } from 'react'
import { useLive } from '@/api/store'
import { Notice } from '@/components/ui/Notice'
import { Skeleton } from '@/components/ui/Skeleton'
import type { Setting } from './commands'
import './docs.css'
import { groupsOf, type Group, type OpenApi } from './openapi'
import { Method, OperationCard } from './OperationCard'
import { Prose } from './Prose'
import { useDocument } from './useDocument'

/** The API, as the server itself describes it at /openapi.json. */
export function DocsView() {
  const [loading, again] = useDocument()
  if (loading.phase === 'loading') return <LoadingDocs />
  if (loading.phase === 'ready') return <Docs document={loading.document} />
  const retry = (
    <button type="button" className="button" onClick={again}>
      Try again
    </button>
  )
  return (
    <Notice tone="error" title="The description of the API did not come" actions={retry}>
      <p>{loading.why}</p>
    </Notice>
  )
}

function Docs({ document }: { document: OpenApi }) {
  const groups = useMemo(() => groupsOf(document), [document])
  const setting = useSetting()
  useEffect(() => {
    // The address pointed into a page that was not there yet.
    const id = decodeURIComponent(location.hash.slice(1))
    if (id) window.document.getElementById(id)?.scrollIntoView()
  }, [])
  return (
    <div className="docs">
      <Contents groups={groups} />
      <div className="docs-main">
        <header className="docs-head">
          <h1>
            {document.info.title} API <span className="docs-version">{document.info.version}</span>
          </h1>
          {document.info.description && (
            <p>
              <Prose text={document.info.description} />
            </p>
          )}
          <p>
            For programs: <a href="/openapi.json">/openapi.json</a>. The examples run as they stand, for the detector{' '}
            <code>{setting.detector}</code>.
          </p>
        </header>
        {groups.map(({ tag, description, operations }) => (
          <section key={tag} className="docs-group" aria-labelledby={`tag-${tag}`}>
            <h2 id={`tag-${tag}`}>{tag}</h2>
            {description && (
              <p>
                <Prose text={description} />
              </p>
            )}
            {operations.map((operation) => (
              <OperationCard key={operation.id} document={document} operation={operation} setting={setting} />
            ))}
          </section>
        ))}
      </div>
    </div>
  )
}

function Contents({ groups }: { groups: readonly Group[] }) {
  return (
    <nav className="docs-contents" aria-label="Operations">
      {groups.map(({ tag, operations }) => (
        <div key={tag}>
          <a className="docs-contents-tag" href={`#tag-${tag}`}>
            {tag}
          </a>
          <ul>
            {operations.map(({ id, method, path }) => (
              <li key={id}>
                <a href={`#${id}`}>
                  <Method method={method} />
                  <span>{path}</span>
                </a>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </nav>
  )
}

/** Taken once: an example whose time ticks on cannot be copied. */
function useSetting(): Setting {
  const detector = useLive((state) => state.stats?.detector) ?? 'card'
  const heard = useLive((state) => state.stats !== null)
  const stream = useLive((state) => state.stats?.stream_time ?? null)
  const [now] = useState(() => new Date().toISOString())
  const [taken, setTaken] = useState<string | null>(null)
  if (heard && taken === null) setTaken(stream ?? now)
  return useMemo(() => ({ origin: location.origin, detector, now: taken ?? now }), [detector, taken, now])
}

function LoadingDocs() {
  return (
    <div className="docs" aria-busy="true">
      <span className="unseen" role="status">
        Loading
      </span>
      <div className="docs-contents">
        {['10ch', '16ch', '14ch', '12ch', '15ch'].map((width, i) => (
          <p key={i}>
            <Skeleton width={width} />
          </p>
        ))}
      </div>
      <div className="docs-main">
        <div className="panel placeholder tall" />
        <div className="panel placeholder tall" />
      </div>
    </div>
  )
}

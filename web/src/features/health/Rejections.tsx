import { useCallback, useState } from 'react'
import { listRejections } from '@/api/health'
import { useAsked } from '@/api/useAsked'
import type { RejectionInfo, RejectionKind, RejectionPage } from '@/api/types'
import { Notice } from '@/components/ui/Notice'
import { count } from '@/components/ui/numbers'
import { Panel } from '@/components/ui/Panel'
import { Segments } from '@/components/ui/Segments'
import { SortTable, type Column } from '@/components/ui/SortTable'
import { dateTime } from '@/components/ui/times'
import { Unanswered } from '@/components/ui/Unanswered'

const EVERY_MS = 2_000
const LIMITS = ['20', '100', '500'] as const
type Limit = (typeof LIMITS)[number]

/** What came in and was no transaction: what is usually wrong, and the newest ones as they came. */
export function Rejections() {
  const [limit, setLimit] = useState<Limit>('20')
  const ask = useCallback((signal: AbortSignal) => listRejections(Number(limit), signal), [limit])
  const [asked, again] = useAsked(`rejections ${limit}`, ask, EVERY_MS)
  const options = LIMITS.map((value) => ({ value, text: value }))
  const note = asked.phase === 'ready' ? `${count(asked.value.stored)} stored` : undefined
  return (
    <Panel
      title="Recent rejections"
      note={note}
      className="health-rejections"
      side={<Segments label="How many of the newest" options={options} value={limit} onChange={setLimit} />}
    >
      {asked.phase === 'loading' && <div className="health-rejections-place" aria-busy="true" />}
      {asked.phase === 'failed' && <Unanswered title="The rejections did not come" error={asked.error} again={again} />}
      {asked.phase === 'ready' && (asked.value.items.length === 0 ? <NoRejections /> : <Page page={asked.value} />)}
    </Panel>
  )
}

function NoRejections() {
  return (
    <Notice tone="plain" title="Nothing was rejected">
      <p>What is not a transaction of the detector is kept and shown here, with what is wrong with it.</p>
    </Notice>
  )
}

const kindColumns: readonly Column<RejectionKind>[] = [
  { name: 'What is wrong', cell: ({ reason }) => reason, by: ({ reason }) => reason, kind: 'wide', heads: true },
  { name: 'Times', cell: (kind) => count(kind.count), by: (kind) => kind.count, kind: 'number' },
  { name: 'Last, UTC', cell: ({ last_at }) => dateTime(last_at), by: ({ last_at }) => last_at },
]

const itemColumns: readonly Column<RejectionInfo>[] = [
  { name: 'When, UTC', cell: ({ received_at }) => dateTime(received_at), by: ({ received_at }) => received_at, heads: true },
  { name: 'From', cell: ({ source }) => source, by: ({ source }) => source, kind: 'code' },
  { name: 'What is wrong', cell: ({ reason }) => reason, by: ({ reason }) => reason, kind: 'wide' },
  { name: 'What came in', cell: ({ raw }) => <Raw raw={raw} /> },
]

function Page({ page: { kinds, items } }: { page: RejectionPage }) {
  return (
    <>
      <h3>By kind</h3>
      <SortTable caption="Kinds of rejections" columns={kindColumns} rows={kinds} keyOf={({ reason }) => reason} />
      <h3>The newest {count(items.length)}</h3>
      <div className="health-newest">
        <SortTable caption="The newest rejections" columns={itemColumns} rows={items} keyOf={keyOf} />
      </div>
    </>
  )
}

const keyOf = ({ received_at, source, raw }: RejectionInfo) => `${received_at} ${source} ${raw}`

/** What came in may be anything: shown as text, in full only when asked for. */
function Raw({ raw }: { raw: string }) {
  if (raw === '') return <span className="panel-note">nothing</span>
  return (
    <details className="health-raw">
      <summary>
        <code>{raw.slice(0, 40)}</code>
        {raw.length > 40 && ' …'}
      </summary>
      <pre>{raw}</pre>
    </details>
  )
}

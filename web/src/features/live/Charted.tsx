import { useRef, type ReactNode } from 'react'
import { ChartMenu, type ChartTable } from '@/components/charts/ChartMenu'
import { Panel } from '@/components/ui/Panel'

interface Props {
  title: string
  note: string
  /** Names the files that are saved. */
  file: string
  table: () => ChartTable
  className?: string
  children: ReactNode
}

/** A panel of charts that can be taken away as numbers and as a picture. */
export function Charted({ title, note, file, table, className = '', children }: Props) {
  const picture = useRef<HTMLDivElement>(null)
  return (
    <Panel title={title} note={note} side={<ChartMenu name={file} table={table} picture={picture} />} className={className}>
      <div ref={picture} className="range-chart-body">
        {children}
      </div>
    </Panel>
  )
}

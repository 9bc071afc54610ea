import type { SyntheticReport } from '@/api/types'
import { count } from '@/components/ui/numbers'
import { allFigures, tilesOf } from './figures'
import { Picture } from './Picture'

/** What came out of a comparison: in words, in figures, in pictures. */
export function ReportView({ report }: { report: SyntheticReport }) {
  const { synthetic, synthetic_rows, real_rows, verdict, figures } = report
  return (
    <div className="report">
      <p className="report-said" role="status">
        {count(synthetic_rows)} transactions of <code>{synthetic}</code> beside {count(real_rows)} real ones.
      </p>
      <ul className="report-verdict">
        {verdict.map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
      <Tiles figures={figures} />
      <Pictures report={report} />
      <details className="report-all">
        <summary>All figures</summary>
        <dl>
          {allFigures(figures).map(({ name, value }) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </details>
    </div>
  )
}

function Tiles({ figures }: Pick<SyntheticReport, 'figures'>) {
  const tiles = tilesOf(figures)
  if (tiles.length === 0) return null
  return (
    <div className="tiles report-tiles">
      <dl>
        {tiles.map(({ name, value, detail }) => (
          <div key={name} className="tile">
            <dt>{name}</dt>
            <dd className="tile-value">{value}</dd>
            <dd className="tile-detail">{detail}</dd>
          </div>
        ))}
      </dl>
    </div>
  )
}

function Pictures({ report: { principal, t_sne, columns } }: { report: SyntheticReport }) {
  return (
    <>
      <p className="report-legend">
        <span data-kind="real">real: bars, and dots of this colour</span> <span data-kind="synthetic">synthetic: lines, and dots of this colour</span>
      </p>
      <div className="report-clouds">
        {principal && (
          <Picture svg={principal} title="Principal components" description="Each dot is a transaction; clouds that overlap are alike" />
        )}
        {t_sne && <Picture svg={t_sne} title="t-SNE" description="Transactions that are alike lie together" />}
      </div>
      <h3>Columns</h3>
      <div className="report-columns">
        {columns.map((svg, i) => (
          <Picture key={i} svg={svg} title={`Column ${i + 1}`} description="Shares of its values, real as bars, synthetic as a line" />
        ))}
      </div>
    </>
  )
}

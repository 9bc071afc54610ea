import { microseconds, NONE } from '@/components/ui/numbers'

interface Props {
  label: string
  percentiles: readonly { name: string; value: number }[]
}

/** Percentiles as dots on one logarithmic scale: what matters is how far the tail stands from the middle. */
export function PercentileStrip({ label, percentiles }: Props) {
  const scale = logScale(percentiles.map(({ value }) => value))
  return (
    <div className="strip">
      <dl aria-label={label}>
        {percentiles.map(({ name, value }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <span className="strip-track" aria-hidden="true">
                {scale.decades.map((decade) => (
                  <i key={decade} style={{ left: scale.place(decade) }} />
                ))}
                {value > 0 && <b style={{ left: scale.place(value) }} />}
              </span>
              <span className="strip-value">{value > 0 ? microseconds(value) : NONE}</span>
            </dd>
          </div>
        ))}
      </dl>
      <div className="strip-axis" aria-hidden="true">
        <span>
          {scale.decades.filter(said).map((decade) => (
            <i key={decade} style={{ left: scale.place(decade) }}>
              {mark(decade)}
            </i>
          ))}
        </span>
      </div>
    </div>
  )
}

/** Where there is no room for the names of all decades, every second one. */
function said(_: number, index: number, decades: readonly number[]) {
  return decades.length <= 4 || index % 2 === 0
}

/** A decade is round in every unit: 10 µs, 1 ms, 100 ms. */
function mark(decade: number) {
  return microseconds(decade).replace(/\.0+ /, ' ')
}

function logScale(values: readonly number[]) {
  const measured = values.filter((value) => value > 0)
  const seen = measured.length > 0 ? measured : [10, 1_000]
  const low = Math.floor(Math.log10(Math.min(...seen)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...seen))))
  const place = (value: number) => `${((Math.log10(value) - low) / (high - low)) * 100}%`
  const decades = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i))
  return { place, decades }
}

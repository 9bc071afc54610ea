/** Numbers as the page writes them: English, grouped by thousands, `–` where there is none. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const upToSix = new Intl.NumberFormat('en', { maximumFractionDigits: 6 })

export const NONE = '–'

export const count = (value: number) => whole.format(value)

export const countShort = (value: number) => compact.format(value)

export function rate(value: number) {
  return value > 0 && value < 100 ? value.toFixed(1) : whole.format(value)
}

export function share(part: number, all: number) {
  return percent(all === 0 ? 0 : part / all)
}

export function percent(fraction: number) {
  const value = fraction * 100
  if (value === 0) return '0 %'
  if (value < 0.01) return '<0.01 %'
  return `${value.toFixed(value < 10 ? 2 : 1)} %`
}

export function score(value: number | null | undefined) {
  return value == null ? NONE : value.toFixed(3)
}

/** A contribution: what it adds or takes. */
export function signed(value: number) {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`
}

/** A feature may be a count, an amount or a ratio: split where it is to be aligned, before its decimals. */
export function measure(value: number): { whole: string; fraction: string } {
  const tiny = value !== 0 && Math.abs(value) < 1e-5
  const text = tiny ? value.toExponential(2) : upToSix.format(value)
  const point = text.indexOf('.')
  return point < 0 ? { whole: text, fraction: '' } : { whole: text.slice(0, point), fraction: text.slice(point) }
}

export function microseconds(value: number) {
  if (value < 1_000) return `${whole.format(value)} µs`
  if (value < 1_000_000) return `${(value / 1_000).toFixed(value < 10_000 ? 2 : 1)} ms`
  return `${(value / 1_000_000).toFixed(2)} s`
}

export function bytes(value: number) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3))
  const scaled = value / 1_000 ** step
  return `${step === 0 ? scaled : scaled.toFixed(1)} ${units[step] ?? ''}`
}

/** An amount in major units, with as many decimals as its currency has: 12.50 EUR, 1,250 JPY. */
export function amount(value: number, currency: string) {
  const digits = decimals(currency)
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

function decimals(currency: string) {
  try {
    return new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2
  } catch {
    // Not an ISO 4217 code: points, tokens, whatever the detector calls its money.
    return 2
  }
}

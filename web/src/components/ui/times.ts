/** Times as the page writes them: always UTC, so that a row reads the same to everybody who looks at it. */

/** 2018-08-08 14:03:22 */
export function dateTime(at: string | number) {
  return iso(at).slice(0, 19).replace('T', ' ')
}

/** 2018-08-08 14:03:22.125 */
export function dateTimeMillis(at: string | number) {
  return iso(at).slice(0, 23).replace('T', ' ')
}

/** 14:03:22 */
export function clock(at: string | number) {
  return iso(at).slice(11, 19)
}

/** 45 s, 12 min, 3 h 20 min, 2 d 4 h */
export function span(seconds: number) {
  const s = Math.max(0, Math.floor(seconds))
  if (s < 60) return `${s} s`
  if (s < 3_600) return `${Math.floor(s / 60)} min`
  if (s < 86_400) return `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3_600)} h`
}

/** A time that cannot be read is shown as none rather than breaking the page around it. */
function iso(at: string | number) {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? '–' : date.toISOString()
}

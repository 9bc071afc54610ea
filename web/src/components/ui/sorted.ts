/** Sorting as a reader expects it: what is missing comes last, whichever way. */

export type SortValue = number | string | null | undefined

export function sorted<Row>(rows: readonly Row[], by: (row: Row) => SortValue, falling: boolean): Row[] {
  return [...rows].sort((a, b) => {
    const [one, other] = [by(a), by(b)]
    if (one == null || other == null) return Number(one == null) - Number(other == null)
    const order = typeof one === 'number' && typeof other === 'number' ? one - other : compareText(String(one), String(other))
    return falling ? -order : order
  })
}

/** gbdt-9 stands before gbdt-10. */
function compareText(a: string, b: string) {
  return a.localeCompare(b, 'en', { numeric: true })
}

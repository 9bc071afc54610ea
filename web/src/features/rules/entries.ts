/** Values for a list, pasted or from a file: one a line, or CSV with the column `value`. */
import type { ListEntry } from '@/api/types'

const COLUMNS = ['value', 'reason', 'owner', 'expires'] as const

export interface ReadEntries {
  entries: ListEntry[]
  /** What cannot be read, with its line. */
  mistakes: string[]
}

/** As CSV if its first line names the column `value`, otherwise each line is a value. Empty lines mean nothing. */
export function readEntries(text: string): ReadEntries {
  const rows = readCsv(text.replace(/^\uFEFF/, ''))
  const [head] = rows
  const names = head?.cells.map((cell) => cell.trim().toLowerCase())
  if (names?.includes('value')) return fromTable(names, rows.slice(1))
  const values = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/).map((line) => line.trim()).filter((line) => line !== '')
  return { entries: values.map((value) => ({ value })), mistakes: [] }
}

function fromTable(names: readonly string[], rows: readonly Row[]): ReadEntries {
  const unknown = names.filter((name) => !COLUMNS.some((column) => column === name))
  const mistakes = unknown.map((name) => `the column ${name || '(without a name)'} is unknown; columns are ${COLUMNS.join(', ')}`)
  const entries: ListEntry[] = []
  for (const { line, cells } of rows) {
    const cell = (name: string) => cells[names.indexOf(name)]?.trim() ?? ''
    if (cells.length !== names.length) mistakes.push(`line ${line} has ${cells.length} of ${names.length} columns`)
    else if (cell('value') === '') mistakes.push(`line ${line} has no value`)
    else entries.push({ value: cell('value'), reason: cell('reason'), owner: cell('owner'), expires: cell('expires') || null })
  }
  return { entries, mistakes }
}

interface Row {
  /** Where it begins, from 1. */
  line: number
  cells: string[]
}

/** RFC 4180: cells between commas, in quotes where they hold commas, quotes (doubled) or line ends. */
function readCsv(text: string): Row[] {
  const rows: Row[] = []
  let row: Row = { line: 1, cells: [] }
  let line = 1
  const piece = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r\n|\r|\n|$)/gy
  while (piece.lastIndex < text.length) {
    const found = piece.exec(text)
    // Anything is a cell, if only up to the end of its line: a quote that is never closed is one of its characters.
    if (!found) break
    const [whole, quoted, plain = '', end] = found
    row.cells.push(quoted?.replaceAll('""', '"') ?? plain)
    line += whole.match(/\r\n|\r|\n/g)?.length ?? 0
    if (end === ',' && piece.lastIndex < text.length) continue
    if (end === ',') row.cells.push('')
    if (row.cells.some((cell) => cell.trim() !== '')) rows.push(row)
    row = { line, cells: [] }
  }
  return rows
}

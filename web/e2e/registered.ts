/** A service that decides by a registry of two models, on real transactions of which became known what they were. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findBinary, Server } from './server'

const DETECTOR = 'card'
const ROWS = 8_000
const DAYS_AGO = 60
/** Everything cannot be labelled one by one in a few seconds: all frauds, and one of so many others. */
const LABELLED_EVERY = 20

const run = promisify(execFile)

export async function startRegistered(folder: string) {
  const [history, registry] = [join(folder, 'history.jsonl'), join(folder, 'models')]
  const data = join(folder, 'registered')
  const env = { REDFLAG_DETECTOR: DETECTOR, REDFLAG_REGISTRY: registry, REDFLAG_DATA_DIR: data }
  const redflag = (...args: string[]) => run(findBinary(), args, { env: { ...process.env, ...env } })
  const start = new Date(Date.now() - DAYS_AGO * 86_400_000).toISOString().slice(0, 10)
  const world = ['--rows', String(ROWS), '--customers', '200', '--start', start, '--seed', '7']
  await redflag('simulate', '--detector', DETECTOR, ...world, '--out', history)
  for (const [trees, as] of [['20', 'champion'], ['40', 'challenger']] as const) {
    const model = join(folder, `${trees}.model`)
    await redflag('train', '--detector', DETECTOR, '--in', history, '--trees', trees, '--out', model, '--register')
    await redflag('model', 'promote', model, '--as', as, '--by', 'ada', '--reason', 'to begin with')
  }
  const server = await Server.serve(data, { ...env, REDFLAG_MODEL: 'registry' })
  await server.start()
  await postHistory(server.url, await readFile(history, 'utf8'))
  return server
}

/** Rows of a file carry no mark, so that they count as real. */
async function postHistory(url: string, rows: string) {
  await answered(fetch(`${url}/v1/transactions/batch`, { method: 'POST', body: rows }))
  const known = rows.trim().split('\n').map(labelOf)
  for (const label of known.filter(({ fraud }, i) => fraud || i % LABELLED_EVERY === 0)) {
    const headers = { 'content-type': 'application/json' }
    await answered(fetch(`${url}/v1/labels`, { method: 'POST', headers, body: JSON.stringify(label) }))
  }
}

function labelOf(row: string) {
  const { transaction_id, tx_fraud } = JSON.parse(row) as { transaction_id: number; tx_fraud: number }
  return { transaction_id: String(transaction_id), fraud: tx_fraud === 1 }
}

async function answered(asked: Promise<Response>) {
  const response = await asked
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${text.slice(0, 500)}`)
}

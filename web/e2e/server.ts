/** The real binary, started and stopped as a user would. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const READY_MAX_MS = 120_000
const EXIT_MAX_MS = 30_000

/** In a second, of the times in /proc. */
const CLOCK_TICKS = 100

const BUILT = fileURLToPath(new URL('../../target/release/redflag', import.meta.url))

interface Launch {
  args: readonly string[]
  env?: Readonly<Record<string, string>>
}

export class Server {
  readonly url: string
  private process: ChildProcess | null = null
  private said = ''

  private constructor(
    private readonly binary: string,
    port: number,
    private readonly launch: Launch,
  ) {
    this.url = `http://127.0.0.1:${port}`
  }

  /** A small world, so that its history and its model are made in a few seconds. */
  static async demo(dataDir: string, { rate = 200, customers = 500 } = {}) {
    const port = await freePort()
    const options = ['--port', String(port), '--data-dir', dataDir]
    options.push('--rate', String(rate), '--customers', String(customers))
    return new Server(findBinary(), port, { args: ['demo', ...options] })
  }

  static async serve(dataDir: string, more: Readonly<Record<string, string>> = {}) {
    const port = await freePort()
    const env = { ...more, REDFLAG_DATA_DIR: dataDir, REDFLAG_LISTEN: `127.0.0.1:${port}` }
    return new Server(findBinary(), port, { args: ['serve'], env })
  }

  async start() {
    const { args, env } = this.launch
    const child = spawn(this.binary, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
    const listen = (heard: Buffer | Error) => {
      this.said = (this.said + heard.toString()).slice(-4_000)
    }
    child.stdout.on('data', listen)
    child.stderr.on('data', listen)
    child.on('error', listen)
    this.process = child
    await this.ready(child)
    return this
  }

  /** Seconds of processor time that it has used. */
  async processorSeconds() {
    const stat = await readFile(`/proc/${this.process?.pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS
  }

  /** Asks it to end, as Ctrl-C does, and insists if it does not. */
  async interrupt() {
    const child = this.process
    this.process = null
    if (!child || ended(child)) return
    const insist = setTimeout(() => child.kill('SIGKILL'), EXIT_MAX_MS)
    child.kill('SIGINT')
    await once(child, 'exit')
    clearTimeout(insist)
  }

  private async ready(child: ChildProcess) {
    const deadline = Date.now() + READY_MAX_MS
    while (Date.now() < deadline) {
      if (ended(child)) throw new Error(`${this.binary} ended before it was ready:\n${this.said}`)
      const answer = await fetch(`${this.url}/readyz`).catch(() => null)
      if (answer?.ok) return
      await sleep(100)
    }
    throw new Error(`${this.binary} was not ready after ${READY_MAX_MS / 1_000} s:\n${this.said}`)
  }
}

export function findBinary() {
  const binary = process.env.REDFLAG_BIN ?? BUILT
  if (!existsSync(binary)) throw new Error(`no redflag at ${binary}; build it with: make build (or set REDFLAG_BIN)`)
  return binary
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}

function ended(child: ChildProcess) {
  // Without a pid it could not even be started.
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null
}

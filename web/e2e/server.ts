/** The real binary, started and stopped as a user would. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const READY_MAX_MS = 180_000
const EXIT_MAX_MS = 30_000

export class Server {
  readonly url: string
  private process: ChildProcess | null = null
  private said = ''

  constructor(
    private readonly binary: string,
    private readonly port: number,
    private readonly dataDir: string,
  ) {
    this.url = `http://127.0.0.1:${port}`
  }

  async start() {
    const options = ['--port', String(this.port), '--data-dir', this.dataDir, '--rate', '200']
    const process = spawn(this.binary, ['demo', ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
    const listen = (heard: Buffer | Error) => {
      this.said = (this.said + heard.toString()).slice(-4_000)
    }
    process.stdout.on('data', listen)
    process.stderr.on('data', listen)
    process.on('error', listen)
    this.process = process
    await this.ready(process)
  }

  /** Asks it to end, as Ctrl-C does, and insists if it does not. */
  async interrupt() {
    const process = this.process
    this.process = null
    if (!process || ended(process)) return
    const insist = setTimeout(() => process.kill('SIGKILL'), EXIT_MAX_MS)
    process.kill('SIGINT')
    await once(process, 'exit')
    clearTimeout(insist)
  }

  private async ready(process: ChildProcess) {
    const deadline = Date.now() + READY_MAX_MS
    while (Date.now() < deadline) {
      if (ended(process)) throw new Error(`${this.binary} ended before it was ready:\n${this.said}`)
      const answer = await fetch(`${this.url}/readyz`).catch(() => null)
      if (answer?.ok) return
      await sleep(100)
    }
    throw new Error(`${this.binary} was not ready after ${READY_MAX_MS / 1_000} s:\n${this.said}`)
  }
}

export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}

function ended(process: ChildProcess) {
  // Without a pid it could not even be started.
  return process.pid === undefined || process.exitCode !== null || process.signalCode !== null
}

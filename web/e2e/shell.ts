/** A command that the page shows, run as a reader would: pasted into a shell. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Ran {
  command: string
  failed: boolean
  /** What it printed; where it failed, also why. */
  said: string
}

export class Shell {
  private constructor(private readonly dir: string) {}

  /** Only for the test: an answer of 400 and above is a failure, and nothing takes for ever. */
  static async in(dir: string, time_max_s: number) {
    await writeFile(join(dir, '.curlrc'), `silent\nshow-error\nfail-with-body\nmax-time = ${time_max_s}\n`)
    return new Shell(dir)
  }

  run(command: string): Promise<Ran> {
    const env = { ...process.env, CURL_HOME: this.dir, no_proxy: '*' }
    return new Promise((resolve) => {
      execFile('sh', ['-c', command], { env }, (error, out, errors) =>
        resolve({ command, failed: error !== null, said: error ? out + errors : out }),
      )
    })
  }
}

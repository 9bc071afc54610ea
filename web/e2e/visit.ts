/** What the tests of a file share: a browser, a service of their own, and the folder that it keeps its data in. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { openBrowser, openPage } from './browser'
import type { Server } from './server'

export class Visit {
  private constructor(
    readonly browser: Browser,
    readonly folder: string,
    readonly server: Server,
  ) {}

  /** Of a service that is started in a folder; without a browser nothing is begun. */
  static async to(start: (folder: string) => Promise<Server>) {
    const browser = await openBrowser()
    const folder = await mkdtemp(join(tmpdir(), 'redflag-e2e-'))
    return new Visit(browser, folder, await start(folder))
  }

  /** A page of the service, and what is to be complained of it. */
  async open(path: string) {
    const opened = await openPage(this.browser, this.server.url)
    if (path !== '/') await opened.page.goto(this.server.url + path)
    return opened
  }

  async leave() {
    await this.browser.close()
    await this.server.interrupt()
    await rm(this.folder, { recursive: true, force: true })
  }
}

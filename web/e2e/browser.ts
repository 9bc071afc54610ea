import { existsSync } from 'node:fs'
import axe from 'axe-core'
import { chromium, type Page } from 'playwright-core'

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'

/** A step of a busy machine can be slow without being wrong. */
const STEP_MAX_MS = 60_000

export function openBrowser() {
  if (!existsSync(executablePath)) {
    throw new Error(`no Chromium at ${executablePath}; install it with: apt-get install -y chromium (or set CHROMIUM)`)
  }
  const quiet = ['--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
  const plain = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic']
  return chromium.launch({ executablePath, args: [...plain, ...quiet], timeout: STEP_MAX_MS })
}

export async function openPage(browser: Awaited<ReturnType<typeof openBrowser>>, url: string) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, colorScheme: 'light' })
  context.setDefaultTimeout(STEP_MAX_MS)
  const page = await context.newPage()
  const complaints = new Complaints(page, url)
  await page.goto(url)
  return { page, complaints }
}

/** Everything that a page says or asks for that it should not. */
export class Complaints {
  readonly heard: string[] = []
  /** While the server is down on purpose, a refused connection is no news. */
  serverDown = false
  /** While a refusal is what is wanted, neither is that. */
  refusalWanted = false

  constructor(page: Page, origin: string) {
    page.on('pageerror', (error) => this.heard.push(`uncaught: ${error.message}`))
    page.on('console', (said) => {
      if (said.type() !== 'error' && said.type() !== 'warning') return
      if (this.serverDown && /ERR_CONNECTION|WebSocket|Failed to load resource/.test(said.text())) return
      if (this.refusalWanted && /status of 4\d\d/.test(said.text())) return
      this.heard.push(`${said.type()}: ${said.text()}`)
    })
    page.on('request', (request) => {
      if (!request.url().startsWith(`${origin}/`)) this.heard.push(`asked elsewhere: ${request.url()}`)
    })
  }
}

/** What axe finds wrong with the page as it stands, a line for each. */
export async function accessibilityFaults(page: Page) {
  await page.evaluate(axe.source)
  const results = await page.evaluate(() => {
    const runner = (window as unknown as { axe: { run: () => Promise<AxeAnswer> } }).axe
    return runner.run()
  })
  return results.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`)
}

interface AxeAnswer {
  violations: { id: string; help: string; nodes: { html: string }[] }[]
}

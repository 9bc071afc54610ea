/**
 * Takes the pictures of the documentation from a demo that runs: REDFLAG_URL says where. Let it run for ten minutes
 * first, so that the charts are full and the first frauds have become known.
 */
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { it } from 'vitest'
import type { components } from '../src/api/schema'
import { openBrowser, openPage } from './browser'

type Schemas = components['schemas']

const url = process.env.REDFLAG_URL ?? 'http://127.0.0.1:8080'
const folder = fileURLToPath(new URL('../../docs', import.meta.url))

it('takes the pictures', { timeout: 300_000 }, async () => {
  await mkdir(folder, { recursive: true })
  const browser = await openBrowser()
  const { page } = await openPage(browser, url)
  await page.goto(`${url}/transactions/${await tellingDecline()}`)
  await page.locator('.features tbody tr').first().waitFor()
  await page.locator('[data-running=model] dd:not(:has(.skeleton))').waitFor()
  await page.screenshot({ path: join(folder, 'transaction-light.png') })

  const moment = await holdAtEveryOutcome(page)
  await page.goto(url)
  await moment()
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await page.waitForTimeout(500)
    await page.screenshot({ path: join(folder, `live-${colorScheme}.png`) })
  }
  await browser.close()
})

/** Rows in sight on the picture. */
const ROWS = 14

/** After this long a decline alone will do. */
const PATIENCE_MS = 100_000

/**
 * Alerts are one in a hundred, and a row is in sight for a quarter of a second. So the feed is stopped at the first
 * message that shows what the page is there for; the answer waits for that moment.
 */
async function holdAtEveryOutcome(page: Page) {
  const begun = Date.now()
  let reached: () => void
  let held = false
  const moment = new Promise<void>((resolve) => {
    reached = resolve
  })
  await page.routeWebSocket(/\/v1\/live$/, (socket) => {
    const server = socket.connectToServer()
    server.onMessage((text) => {
      if (held) return
      socket.send(text)
      const { kind, decisions } = JSON.parse(text.toString()) as Schemas['LiveMessage']
      const seen = new Set(decisions.slice(0, ROWS).map(({ outcome }) => outcome))
      const enough = seen.has('decline') && (seen.has('review') || Date.now() > begun + PATIENCE_MS)
      if (kind === 'snapshot' || !enough) return
      held = true
      reached()
    })
  })
  return () => moment
}

/** Of the last declines the one with the most to see in its features; of several the dearest. */
async function tellingDecline() {
  const { items } = await ask<Schemas['DecisionPage']>('/v1/decisions?outcome=decline&limit=300')
  const decisions = await Promise.all(items.map(({ id }) => ask<Schemas['Decision']>(`/v1/decisions/${id}`)))
  decisions.sort((a, b) => signs(b) - signs(a) || b.amount - a.amount)
  const [first] = decisions
  if (!first) throw new Error('nothing has been declined yet')
  return first.id
}

function signs({ features, rules }: Schemas['Decision']) {
  const value = new Map(features.map((feature) => [feature.name, feature.value ?? 0]))
  const above = (name: string, limit: number) => (value.get(name) ?? 0) > limit
  const telling = [
    above('amount_deviations', 2),
    above('terminal_risk_7d', 0.5),
    above('customer_frauds_30d', 0),
    above('customer_count_1h', 2),
    above('customer_countries_1d', 1),
    rules.length > 0,
  ]
  return telling.filter(Boolean).length
}

async function ask<T>(path: string) {
  return (await (await fetch(url + path)).json()) as T
}

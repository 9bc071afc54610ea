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

/** Long enough for everything that a page asks for. */
const SETTLED_MS = 2_500

it('takes the pictures', { timeout: 300_000 }, async () => {
  await mkdir(folder, { recursive: true })
  const browser = await openBrowser()
  const { page } = await openPage(browser, url)
  await page.evaluate(() => localStorage.setItem('redflag.analyst', 'ada'))
  const alert = await dearestAlert()
  const pages = {
    live: '/',
    history: '/?range=1h',
    transaction: `/transactions/${alert.transaction_id}`,
    alerts: '/alerts',
    alert: `/alerts/${alert.id}`,
    rules: '/rules',
    models: '/models',
    synthetic: '/synthetic',
    health: '/health',
  }
  for (const [name, path] of Object.entries(pages)) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await page.goto(url + path)
      await page.waitForTimeout(SETTLED_MS)
      await dismissBanner(page)
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`) })
    }
  }
  await page.setViewportSize({ width: 390, height: 844 })
  await page.goto(`${url}/alerts/${alert.id}`)
  await page.waitForTimeout(SETTLED_MS)
  await page.screenshot({ path: join(folder, 'phone-dark.png') })
  await browser.close()
})

/** A new alert comes when it wants, and would stand in front of the list. */
async function dismissBanner(page: Page) {
  const dismiss = page.getByRole('button', { name: 'Dismiss' })
  if (await dismiss.isVisible()) await dismiss.click()
  // Rows under the mouse are held.
  await page.mouse.move(0, 0)
}

/** The alert with the most to lose, which says most about why. */
async function dearestAlert() {
  const answer = await fetch(`${url}/v1/alerts?limit=20`)
  const { items } = (await answer.json()) as Schemas['AlertPage']
  const [first] = items.toSorted((a, b) => b.reasons.length - a.reasons.length || b.priority - a.priority)
  if (!first) throw new Error('no alert waits yet')
  return first
}

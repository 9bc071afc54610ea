/** What holds of every page, whatever it is for. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import { accessibilityFaults } from './browser'

const PHONE = { width: 360, height: 740 }

/** Scenes for the page as it stands then: axe finds nothing in either theme, and a phone does not scroll sideways. */
export function itIsFitForAll(page: () => Page) {
  it.each(['light', 'dark'] as const)('is accessible in %s', async (colorScheme) => {
    await page().emulateMedia({ colorScheme })
    expect(await accessibilityFaults(page())).toEqual([])
  })

  it('fits a phone', async () => {
    const before = page().viewportSize()
    await page().setViewportSize(PHONE)
    await sleep(300)
    expect(await page().evaluate(() => document.documentElement.scrollWidth)).toBe(PHONE.width)
    if (before) await page().setViewportSize(before)
  })
}

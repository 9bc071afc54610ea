import { describe, expect, it } from 'vitest'
import { stats } from '@/api/samples'
import type { Alert } from '@/api/types'
import { BANNER_EVERY_MS, dismissed, unwatched, watch } from './alertWatch'

const alert = (id: number) => ({ id }) as Alert
const told = (newestAlert: Alert | null) => ({ stats: stats(), newestAlert })

describe('the banner', () => {
  it('does not tell of what was there before the page', () => {
    const opened = watch(unwatched, told(alert(7)), 0)
    expect(opened.shown).toBeNull()
    expect(watch(opened, told(alert(7)), 60_000).shown).toBeNull()
  })

  it('waits for the first message', () => {
    expect(watch(unwatched, { stats: null, newestAlert: null }, 0)).toBe(unwatched)
  })

  it('tells of the first alert of all', () => {
    expect(watch(watch(unwatched, told(null), 0), told(alert(0)), 1).shown?.id).toBe(0)
  })

  it('tells of one at a time, and of the newest later', () => {
    const first = watch(watch(unwatched, told(null), 0), told(alert(1)), 10)
    expect(watch(first, told(alert(2)), 11)).toBe(first)
    expect(watch(first, told(alert(3)), 10 + BANNER_EVERY_MS).shown?.id).toBe(3)
  })

  it('does not come back once dismissed', () => {
    const first = watch(watch(unwatched, told(null), 0), told(alert(1)), 10)
    expect(watch(dismissed(first), told(alert(1)), 60_000).shown).toBeNull()
  })
})

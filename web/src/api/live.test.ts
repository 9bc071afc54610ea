import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CONNECT_MAX_MS, LiveFeed, SILENT_MAX_MS, STALE_AFTER_MS, waitBeforeRetry } from './live'
import { decision, message } from './samples'
import { LiveStore } from './store'

/** What a server does to a socket, without one: time can then be stopped and wound on. */
class ScriptedSocket {
  static opened: ScriptedSocket[] = []
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: (() => void) | null = null
  closed = false

  constructor(readonly url: string) {
    ScriptedSocket.opened.push(this)
  }

  close() {
    this.closed = true
  }
}

let store: LiveStore
let feed: LiveFeed

const phase = () => store.get().connection.phase
const sockets = () => ScriptedSocket.opened
const socket = () => {
  const newest = sockets().at(-1)
  if (!newest) throw new Error('no socket was opened')
  return newest
}
const speak = (data: unknown = JSON.stringify(message('snapshot', [decision('1')]))) => socket().onmessage?.({ data })

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('WebSocket', ScriptedSocket)
  ScriptedSocket.opened = []
  store = new LiveStore()
  feed = new LiveFeed(store, 'ws://here/v1/live')
  feed.start()
})

afterEach(() => {
  feed.stop()
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('LiveFeed', () => {
  it('is connecting until the first message', () => {
    expect(phase()).toBe('connecting')
    speak()
    expect(phase()).toBe('live')
    expect(store.get().recent).toHaveLength(1)
  })

  it('calls silence stale, and forgives it with the next message', () => {
    speak()
    vi.advanceTimersByTime(STALE_AFTER_MS)
    expect(phase()).toBe('stale')
    speak()
    expect(phase()).toBe('live')
  })

  it('gives up a socket that stays silent', () => {
    speak()
    vi.advanceTimersByTime(SILENT_MAX_MS)
    expect(sockets()[0]?.closed).toBe(true)
    expect(phase()).toBe('waiting')
  })

  it('gives up an attempt that is never answered', () => {
    vi.advanceTimersByTime(CONNECT_MAX_MS)
    expect(phase()).toBe('waiting')
  })

  it('reconnects after a wait, keeping what it last knew', () => {
    speak()
    socket().onclose?.()
    expect(phase()).toBe('waiting')
    expect(store.get().stats).not.toBeNull()
    vi.advanceTimersByTime(1_000)
    expect(sockets()).toHaveLength(2)
    expect(store.get().connection).toEqual({ phase: 'connecting', again: true })
  })

  it('does not wait when the network is back', () => {
    socket().onclose?.()
    dispatchEvent(new Event('online'))
    expect(sockets()).toHaveLength(2)
  })

  it('leaves a working socket alone when the network is back', () => {
    speak()
    dispatchEvent(new Event('online'))
    expect(sockets()).toHaveLength(1)
  })

  it('treats what it cannot read as a failed connection', () => {
    speak('{"stats": ')
    expect(phase()).toBe('waiting')
  })
})

describe('waitBeforeRetry', () => {
  it('doubles up to fifteen seconds, half of it chance', () => {
    expect([0, 1, 2, 3, 20].map((failures) => waitBeforeRetry(failures, 1))).toEqual([500, 1_000, 2_000, 4_000, 15_000])
    expect(waitBeforeRetry(20, 0)).toBe(7_500)
  })
})

/**
 * Turns the messages of `/v1/live` into changes of the store, and keeps the socket up.
 *
 * A lost connection is tried again after a growing, jittered wait, so that a restarted server is not met by every open
 * page at once; at once when the browser says the network is back, or when somebody asks. A socket that is open but
 * silent is called stale after 5 s (the server speaks at least every 2 s) and given up after 15 s, since a connection
 * cut without a word can look open for minutes.
 */
import { applyMessage, liveStore, type LiveStore } from './store'
import type { LiveMessage } from './types'

export const STALE_AFTER_MS = 5_000
export const SILENT_MAX_MS = 15_000
export const CONNECT_MAX_MS = 10_000
const WAIT_MIN_MS = 500
const WAIT_MAX_MS = 15_000

export class LiveFeed {
  private socket: WebSocket | null = null
  private failures = 0
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly store: LiveStore,
    private readonly url: string,
  ) {}

  start() {
    addEventListener('online', this.retryNow)
    this.connect()
  }

  stop() {
    removeEventListener('online', this.retryNow)
    this.drop()
  }

  /** Ends a wait early; a connection that works, or is being made, is left alone. */
  retryNow = () => {
    if (this.socket) return
    this.connect()
  }

  private connect() {
    this.drop()
    const again = this.failures > 0
    this.store.update((state) => ({ ...state, connection: { phase: 'connecting', again } }))
    const socket = new WebSocket(this.url)
    this.socket = socket
    socket.onmessage = (event: MessageEvent<unknown>) => this.receive(event.data)
    socket.onclose = () => this.fail()
    this.after(CONNECT_MAX_MS, () => this.fail())
  }

  private receive(data: unknown) {
    const message = readMessage(data)
    if (!message) {
      this.fail()
      return
    }
    this.failures = 0
    this.store.update((state) => applyMessage(state, message, Date.now()))
    this.after(STALE_AFTER_MS, () => this.markStale())
  }

  private markStale() {
    this.store.update((state) => ({ ...state, connection: { phase: 'stale' } }))
    this.after(SILENT_MAX_MS - STALE_AFTER_MS, () => this.fail())
  }

  private fail() {
    this.drop()
    const wait = waitBeforeRetry(this.failures, Math.random())
    this.failures += 1
    this.store.update((state) => ({ ...state, connection: { phase: 'waiting', retryAt: Date.now() + wait } }))
    this.after(wait, () => this.connect())
  }

  /** The handlers go first: closing is not another failure. */
  private drop() {
    clearTimeout(this.timer)
    if (!this.socket) return
    this.socket.onmessage = null
    this.socket.onclose = null
    this.socket.close()
    this.socket = null
  }

  private after(wait: number, then: () => void) {
    clearTimeout(this.timer)
    this.timer = setTimeout(then, wait)
  }
}

function liveUrl(page: Location) {
  const scheme = page.protocol === 'https:' ? 'wss' : 'ws'
  return `${scheme}://${page.host}/v1/live`
}

/** Doubles with every failure up to a limit; half of it is chance. */
export function waitBeforeRetry(failures: number, chance: number) {
  const longest = Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** failures)
  return longest * (0.5 + chance / 2)
}

/** Null for what this page does not understand, such as the messages of another version of the server. */
function readMessage(data: unknown): LiveMessage | null {
  if (typeof data !== 'string') return null
  try {
    const message = JSON.parse(data) as Partial<LiveMessage> | null
    return message?.stats && Array.isArray(message.decisions) ? (message as LiveMessage) : null
  } catch {
    return null
  }
}

export const liveFeed = new LiveFeed(liveStore, liveUrl(location))

/**
 * Who is signed in, and the only place that is kept. A cookie says it to the server; scripts cannot read it, so the page asks.
 */
import { useSyncExternalStore } from 'react'
import { RequestError, onUnknown, request, withBody } from './client'
import type { Me } from './types'

export interface Access {
  /** Null until the server has said, and while nobody is signed in. */
  me: Me | null
  /** The server wants to know who asks. */
  wanted: boolean
}

let access: Access = { me: null, wanted: false }
const listeners = new Set<() => void>()

function change(next: Access) {
  access = next
  listeners.forEach((listener) => listener())
}

onUnknown(() => {
  if (!access.wanted) change({ me: null, wanted: true })
})

export function useAccess() {
  return useSyncExternalStore(subscribe, () => access)
}

function subscribe(listener: () => void) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Roles that may do what is for the first of them. */
const ENOUGH = {
  analyst: ['analyst', 'engineer', 'admin'],
  engineer: ['engineer', 'admin'],
  admin: ['admin'],
} as const

export type Role = keyof typeof ENOUGH

/** Why who is signed in may not do what takes this role, to be said after what it is; undefined if they may, or as long as nobody knows. */
export function useRefusal(role: Role) {
  const { me } = useAccess()
  if (me === null || ENOUGH[role].some((enough) => me.roles.includes(enough))) return undefined
  return `takes the role ${role}; ${me.name ?? 'nobody'} has ${me.roles.join(', ') || 'none'}`
}

/** Asks who is signed in. A server that cannot be reached has said nothing: it is asked again by whoever needs it. */
export async function findOutWho() {
  try {
    change({ me: await request<Me>('/v1/me', {}), wanted: false })
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
  }
}

/** Shows the server a key or a token; it answers with a cookie. */
export async function signIn(key: string) {
  change({ me: await request<Me>('/v1/session', withBody('POST', { key })), wanted: false })
}

export async function signOut() {
  await request<null>('/v1/session', { method: 'DELETE' })
  change({ me: null, wanted: true })
}

/** As if nothing was known yet, for tests. */
export function forgetWho() {
  change({ me: null, wanted: false })
}

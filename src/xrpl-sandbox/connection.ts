import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Subscriber } from './api/rpc.ts'

/** What may wait for a client that does not read, before it is cut off. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024
/** What may wait for all of them together. */
const MAX_ALL_UNREAD_BYTES = 64 * 1024 * 1024
/** From how much on it is worth a look at the others. */
const MUCH_UNREAD_BYTES = 256 * 1024

/** A source of numbers from 0 to below 1. */
export type Random = () => number

/** Numbers that come again with the same seed (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export interface Delay {
  /** The longest time that a message is on its way. */
  maxMs: number
  random: Random
}

/** A client: what it listens to, and the way that messages take to it. */
export class Connection implements Subscriber {
  apiVersion: 1 | 2 = 1
  readonly streams = new Set<string>()
  readonly accounts = new Set<string>()
  readonly accountsProposed = new Set<string>()
  readonly #socket: WebSocket
  readonly #wire: Socket
  #corked = false
  readonly #delay: Delay
  readonly #onSlow: () => void
  /** Messages on their way, each with the time at which it arrives. */
  readonly #underway: { message: string; due: number }[] = []
  #underwayBytes = 0

  /** `wire` is what the messages go over; `onSlow` is called after each message that finds much unread. */
  constructor(socket: WebSocket, wire: Socket, delay: Delay, onSlow: () => void) {
    this.#socket = socket
    this.#wire = wire
    this.#delay = delay
    this.#onSlow = onSlow
  }

  /** What waits for the client, in bytes. */
  get unreadBytes(): number {
    return this.#socket.bufferedAmount + this.#underwayBytes
  }

  /** Sends a message: it arrives after a time drawn for it alone, but never before an earlier one. */
  send(message: string) {
    const { maxMs, random } = this.#delay
    if (maxMs === 0) return this.#deliver(message)
    const due = Math.max(performance.now() + random() * maxMs, this.#underway.at(-1)?.due ?? 0)
    this.#underwayBytes += message.length
    if (this.#underway.push({ message, due }) === 1) this.#wait(due)
    this.#checkPace()
  }

  /** Ends the connection at once, with all that waits. */
  cutOff() {
    this.#underway.length = 0
    this.#underwayBytes = 0
    this.#socket.terminate()
  }

  #wait(due: number) {
    setTimeout(() => {
      const now = performance.now()
      const later = this.#underway.findIndex(({ due }) => due > now)
      for (const { message } of this.#underway.splice(0, later < 0 ? this.#underway.length : later)) {
        this.#underwayBytes -= message.length
        this.#deliver(message)
      }
      const [next] = this.#underway
      if (next) this.#wait(next.due)
    }, due - performance.now())
  }

  #deliver(message: string) {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    this.#cork()
    this.#socket.send(message)
    this.#checkPace()
  }

  /** All that is sent in one go is written in one go: each time costs as much as the message. */
  #cork() {
    if (this.#corked) return
    this.#corked = true
    this.#wire.cork()
    process.nextTick(() => {
      this.#corked = false
      this.#wire.uncork()
    })
  }

  #checkPace() {
    const { unreadBytes } = this
    if (unreadBytes > MAX_UNREAD_BYTES) this.#socket.close(1008, 'Client is too slow')
    if (unreadBytes > MUCH_UNREAD_BYTES) this.#onSlow()
  }
}

/** Cuts off those who have left most unread, until the rest is within what may wait for all clients together. */
export function relieve(connections: Set<Connection>) {
  const slow = [...connections].map(connection => ({ connection, bytes: connection.unreadBytes }))
  let sum = slow.reduce((total, { bytes }) => total + bytes, 0)
  if (sum <= MAX_ALL_UNREAD_BYTES) return
  for (const { connection, bytes } of slow.sort((a, b) => b.bytes - a.bytes)) {
    if (sum <= MAX_ALL_UNREAD_BYTES) return
    sum -= bytes
    connection.cutOff()
  }
}

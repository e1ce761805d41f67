import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { WebSocket } from 'ws'
import type { Subscriber } from './api/rpc.ts'

/** What may wait for a client that does not read before its connection is closed. */
const maxUnreadBytes = 16 * 1024 * 1024
/** What may wait for all clients together. */
const maxAllUnreadBytes = 64 * 1024 * 1024
/** How much waits for a client before the others are looked at. */
const manyUnreadBytes = 256 * 1024

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

/** A client: what it listens to, and the messages on their way to it. */
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
  /** Settles when the last delayed message has been delivered. */
  #inFlight = Promise.resolve()
  #inFlightBytes = 0

  /** `wire` is what the messages go over; `onSlow` is called after each message that finds much unread. */
  constructor(socket: WebSocket, wire: Socket, delay: Delay, onSlow: () => void) {
    this.#socket = socket
    this.#wire = wire
    this.#delay = delay
    this.#onSlow = onSlow
  }

  /** What waits for the client, in bytes. */
  get unreadBytes(): number {
    return this.#socket.bufferedAmount + this.#inFlightBytes
  }

  /** Sends a message: it arrives after a time drawn for it alone, but never before an earlier one. */
  send(message: string) {
    const { maxMs, random } = this.#delay
    if (maxMs === 0) return this.#deliver(message)
    const due = performance.now() + random() * maxMs
    this.#inFlightBytes += message.length
    this.#inFlight = this.#inFlight.then(async () => {
      const restMs = due - performance.now()
      if (restMs > 0) await setTimeout(restMs)
      this.#inFlightBytes -= message.length
      this.#deliver(message)
    })
    this.#checkPace()
  }

  /** Terminates the connection, with all that waits. */
  terminate() {
    this.#socket.terminate()
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
    if (unreadBytes > maxUnreadBytes) this.#socket.close(1008, 'Client is too slow')
    if (unreadBytes > manyUnreadBytes) this.#onSlow()
  }
}

/** Terminates the clients that have left most unread, until the rest is within what may wait for all together. */
export function shedSlowClients(connections: Set<Connection>) {
  const slow = [...connections].map(connection => ({ connection, bytes: connection.unreadBytes }))
  let sum = slow.reduce((total, { bytes }) => total + bytes, 0)
  if (sum <= maxAllUnreadBytes) return
  for (const { connection, bytes } of slow.sort((a, b) => b.bytes - a.bytes)) {
    if (sum <= maxAllUnreadBytes) return
    sum -= bytes
    connection.terminate()
  }
}

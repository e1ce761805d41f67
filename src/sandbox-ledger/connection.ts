import type { WebSocket } from 'ws'
import type { Subscriber } from './api/rpc.ts'

/** What may wait for a client that does not read, before it is cut off. */
const MAX_UNREAD_BYTES = 16 * 1024 * 1024

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
  readonly #delay: Delay
  /** Messages on their way, each with the time at which it arrives. */
  readonly #underway: { message: string; due: number }[] = []

  constructor(socket: WebSocket, delay: Delay) {
    this.#socket = socket
    this.#delay = delay
  }

  /** Sends a message: it arrives after a time drawn for it alone, but never before an earlier one. */
  send(message: string) {
    const { maxMs, random } = this.#delay
    if (maxMs === 0) return this.#deliver(message)
    const due = Math.max(performance.now() + random() * maxMs, this.#underway.at(-1)?.due ?? 0)
    if (this.#underway.push({ message, due }) === 1) this.#wait(due)
  }

  #wait(due: number) {
    setTimeout(() => {
      const now = performance.now()
      const arriving = this.#underway.findIndex(({ due }) => due > now)
      const count = arriving < 0 ? this.#underway.length : arriving
      for (const { message } of this.#underway.splice(0, count)) this.#deliver(message)
      const [next] = this.#underway
      if (next) this.#wait(next.due)
    }, due - performance.now())
  }

  #deliver(message: string) {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    this.#socket.send(message)
    if (this.#socket.bufferedAmount > MAX_UNREAD_BYTES) this.#socket.close(1008, 'Client is too slow')
  }
}

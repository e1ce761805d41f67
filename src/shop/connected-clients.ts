import type { ServerResponse } from 'node:http'

// How long after a payment a client keeps its place in a full shop.
const paidGraceMs = 120_000

/** A client that listens to an answer that stays open. */
export interface ConnectedClient {
  clientId: string
  /** 32 bytes */
  sharedSecret: Buffer
  /** where the letters go */
  res: ServerResponse
  /** when it last paid, in ms of `performance.now()`; undefined if it has not */
  paidAt: number | undefined
  timeout: NodeJS.Timeout
}

/** Decides which clients may stay connected: those that pay, and of the others none for ever. */
export class ConnectedClients {
  // By clientId, the longest without a payment first.
  readonly #clients = new Map<string, ConnectedClient>()
  readonly #maxClients: number
  readonly #maxWaitMs: number

  /** @param maxWaitMs - how long to wait for a client's next payment */
  constructor(maxClients: number, maxWaitMs: number) {
    this.#maxClients = maxClients
    this.#maxWaitMs = maxWaitMs
  }

  /** A client that is connected. */
  get(clientId: string): ConnectedClient | undefined {
    return this.#clients.get(clientId)
  }

  /** Whether there is room for one more client, if need be in place of one that does not pay. */
  hasCapacity(): boolean {
    if (this.#clients.size < this.#maxClients) return true
    const clients = [...this.#clients.values()]
    const evicted = clients.find(({ paidAt }) => paidAt === undefined) ?? clients[0]
    const paidAt = evicted?.paidAt
    if (!evicted || (paidAt !== undefined && performance.now() - paidAt < paidGraceMs)) return false
    this.#remove(evicted)
    return true
  }

  /** Keeps a client until it leaves, or pays nothing for too long. */
  add(clientId: string, sharedSecret: Buffer, res: ServerResponse): void {
    const timeout = setTimeout(() => this.#remove(client), this.#maxWaitMs)
    const client: ConnectedClient = { clientId, sharedSecret, res, paidAt: undefined, timeout }
    this.#clients.set(clientId, client)
    res.on('close', () => this.#remove(client))
  }

  /** A client has paid: its time begins again. */
  touch(client: ConnectedClient): void {
    client.paidAt = performance.now()
    client.timeout.refresh()
    // It may have been disconnected in between.
    if (this.#clients.delete(client.clientId)) this.#clients.set(client.clientId, client)
  }

  disconnectAll(): void {
    for (const client of this.#clients.values()) this.#remove(client)
  }

  #remove(client: ConnectedClient): void {
    clearTimeout(client.timeout)
    this.#clients.delete(client.clientId)
    client.res.end()
  }
}

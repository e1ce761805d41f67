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
  /** when it last paid, in ms of `performance.now()` */
  paidAt: number
  timeout: NodeJS.Timeout
}

/** Decides which clients may stay connected: those that pay, and of the others none for ever. */
export class ConnectedClients {
  // Those that have not paid, the first to come first, and those that have, the longest without a payment first.
  readonly #unpaid = new Map<string, ConnectedClient>()
  readonly #paid = new Map<string, ConnectedClient>()
  readonly #maxClients: number
  readonly #maxWaitMs: number

  /** @param maxWaitMs - how long to wait for a client's next payment */
  constructor(maxClients: number, maxWaitMs: number) {
    this.#maxClients = maxClients
    this.#maxWaitMs = maxWaitMs
  }

  /** A client that is connected. One that does not read the letters that it has paid for is disconnected. */
  get(clientId: string): ConnectedClient | undefined {
    const client = this.#find(clientId)
    if (!client?.res.writableNeedDrain) return client
    console.log('    - Payment not fulfilled: its client has stopped reading')
    client.res.destroy()
    this.#remove(clientId)
    return undefined
  }

  /** Whether there is room for one more client, if need be in place of one that does not pay. */
  hasCapacity(): boolean {
    if (this.#unpaid.size + this.#paid.size < this.#maxClients) return true
    const [unpaid] = this.#unpaid.values()
    const [paid] = this.#paid.values()
    const evicted = unpaid ?? paid
    if (!evicted || (evicted === paid && performance.now() - paid.paidAt < paidGraceMs)) return false
    this.#remove(evicted.clientId)
    return true
  }

  /** Keeps a client until it leaves, or pays nothing for too long. */
  add(clientId: string, sharedSecret: Buffer, res: ServerResponse): void {
    const timeout = setTimeout(() => this.#remove(clientId), this.#maxWaitMs)
    this.#unpaid.set(clientId, { clientId, sharedSecret, res, paidAt: 0, timeout })
    res.on('close', () => this.#remove(clientId))
  }

  /** A client has paid: its time begins again. */
  touch(client: ConnectedClient): void {
    client.paidAt = performance.now()
    client.timeout.refresh()
    if (this.#delete(client.clientId)) this.#paid.set(client.clientId, client)
  }

  disconnectAll(): void {
    for (const clients of [this.#unpaid, this.#paid])
      for (const clientId of clients.keys()) this.#remove(clientId)
  }

  #remove(clientId: string): void {
    const client = this.#find(clientId)
    if (!client) return
    clearTimeout(client.timeout)
    this.#delete(clientId)
    client.res.end()
  }

  #find(clientId: string): ConnectedClient | undefined {
    return this.#unpaid.get(clientId) ?? this.#paid.get(clientId)
  }

  #delete(clientId: string): boolean {
    return this.#unpaid.delete(clientId) || this.#paid.delete(clientId)
  }
}

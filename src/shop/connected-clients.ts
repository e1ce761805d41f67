import type { ServerResponse } from 'node:http'

// How long a client keeps its place in a full shop: a few ledgers until its first payment, longer once it has paid.
const unpaidGraceMs = 30_000
const paidGraceMs = 4 * unpaidGraceMs

/** A client that listens to an answer that stays open. */
export interface ConnectedClient {
  clientId: string
  /** 32 bytes */
  sharedSecret: Buffer
  /** where the letters go */
  res: ServerResponse
  hasPaid: boolean
  /** when it came or last paid, Unix time in ms */
  since: number
  timeout: NodeJS.Timeout
}

/** Decides which clients may stay connected: those that pay, and of the others none for ever. */
export class ConnectedClients {
  // The one that has been quiet longest comes first.
  readonly #clients = new Map<string, ConnectedClient>()
  readonly #maxClients: number
  readonly #maxWaitMs: number

  /** @param maxWaitMs - how long to wait for a client's next payment */
  constructor(maxClients: number, maxWaitMs: number) {
    this.#maxClients = maxClients
    this.#maxWaitMs = maxWaitMs
  }

  /** A client that is connected. One that does not read the letters that it has paid for is disconnected. */
  get(clientId: string): ConnectedClient | undefined {
    const client = this.#clients.get(clientId)
    if (!client?.res.writableNeedDrain) return client
    console.log('    - Payment not fulfilled: its client has stopped reading')
    client.res.destroy()
    this.#remove(clientId)
    return undefined
  }

  /** Whether there is room for one more client, if need be in place of the one that has been quiet longest. */
  hasCapacity(): boolean {
    if (this.#clients.size < this.#maxClients) return true
    const clients = [...this.#clients.values()]
    const isQuiet = ({ hasPaid, since }: ConnectedClient) =>
      Date.now() - since >= (hasPaid ? paidGraceMs : unpaidGraceMs)
    const evicted = clients.find(client => !client.hasPaid && isQuiet(client)) ?? clients.find(isQuiet)
    if (evicted) this.#remove(evicted.clientId)
    return evicted !== undefined
  }

  /** Keeps a client until it leaves, or pays nothing for too long. */
  add(clientId: string, sharedSecret: Buffer, res: ServerResponse): void {
    const timeout = setTimeout(() => this.#remove(clientId), this.#maxWaitMs)
    this.#clients.set(clientId, { clientId, sharedSecret, res, hasPaid: false, since: Date.now(), timeout })
    res.on('close', () => this.#remove(clientId))
  }

  /** A client has paid: its time begins again. */
  touch(client: ConnectedClient): void {
    client.hasPaid = true
    client.since = Date.now()
    client.timeout.refresh()
    if (this.#clients.delete(client.clientId)) this.#clients.set(client.clientId, client)
  }

  disconnectAll(): void {
    for (const clientId of this.#clients.keys()) this.#remove(clientId)
  }

  #remove(clientId: string): void {
    const client = this.#clients.get(clientId)
    if (!client) return
    clearTimeout(client.timeout)
    this.#clients.delete(clientId)
    client.res.end()
  }
}

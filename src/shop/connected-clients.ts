import type { ServerResponse } from 'node:http'

// How long a client is sure of its place: a few ledgers, for its first payment to arrive, and longer once it has paid.
const sureOfPlaceMs = 30_000
const sureOncePaidMs = 4 * sureOfPlaceMs

/** Someone who listens to an answer that stays open. */
export interface ConnectedClient {
  clientId: string
  /** 32 bytes */
  sharedSecret: Buffer
  /** where the letters go */
  res: ServerResponse
  hasPaid: boolean
  /** when it came or has paid last, Unix time in ms */
  since: number
  patience: NodeJS.Timeout
}

/** Decides who may stay connected: whoever pays; and of those who do not, nobody for ever. */
export class ConnectedClients {
  // Whoever has been quiet longest comes first.
  readonly #clients = new Map<string, ConnectedClient>()
  readonly #maxClients: number
  readonly #maxWaitMs: number

  /** @param maxWaitMs - how long to wait for a client's next payment */
  constructor(maxClients: number, maxWaitMs: number) {
    this.#maxClients = maxClients
    this.#maxWaitMs = maxWaitMs
  }

  get(clientId: string): ConnectedClient | undefined {
    return this.#clients.get(clientId)
  }

  /** Whether there is a place for one more, if need be that of whoever has been here longest without paying. */
  hasPlace(): boolean {
    if (this.#clients.size < this.#maxClients) return true
    const quietFor = (ms: number) =>
      [...this.#clients.values()].filter(({ since }) => Date.now() - since >= ms)
    const leaving = quietFor(sureOfPlaceMs).find(({ hasPaid }) => !hasPaid) ?? quietFor(sureOncePaidMs)[0]
    if (leaving) this.#remove(leaving.clientId)
    return leaving !== undefined
  }

  /** Keeps a client until it leaves or the shop's patience is at an end. */
  add(clientId: string, sharedSecret: Buffer, res: ServerResponse): void {
    const patience = setTimeout(() => this.#remove(clientId), this.#maxWaitMs)
    this.#clients.set(clientId, { clientId, sharedSecret, res, hasPaid: false, since: Date.now(), patience })
    res.on('close', () => this.#remove(clientId))
  }

  /** A client has paid: patience begins anew. */
  keep(client: ConnectedClient): void {
    client.hasPaid = true
    client.since = Date.now()
    client.patience.refresh()
    if (this.#clients.delete(client.clientId)) this.#clients.set(client.clientId, client)
  }

  /** Lets everybody go. */
  clear(): void {
    for (const clientId of this.#clients.keys()) this.#remove(clientId)
  }

  #remove(clientId: string): void {
    const client = this.#clients.get(clientId)
    if (!client) return
    clearTimeout(client.patience)
    this.#clients.delete(clientId)
    client.res.end()
  }
}

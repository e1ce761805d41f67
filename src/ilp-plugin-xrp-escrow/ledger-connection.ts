import { EventEmitter } from 'node:events'
import { Client, RIPPLED_API_V1, RIPPLED_API_V2, RippledError } from 'xrpl'
import { NotAcceptedError, UnreachableError } from './errors.ts'

// One unanswered request must not hold up the ones behind it for long; nothing is lost by asking again.
const requestTimeoutMs = 10_000
const firstBackoffMs = 250
const maxBackoffMs = 5_000
// How many ledger hashes to remember, to recognise the ledger again after the connection was down.
const rememberedLedgers = 64

/** A transaction in a validated ledger that touches the plugin's account. */
export interface ValidatedTransaction {
  hash: string
  tx: Record<string, unknown>
  meta: { TransactionResult: string; TransactionIndex: number }
  ledgerIndex: number
}

/** A closed ledger. */
export interface ClosedLedger {
  index: number
  /** ledger time, seconds since 2000-01-01T00:00Z */
  closeTime: number
}

interface ConnectionEvents {
  up: []
  down: []
  /** the server's ledger is not the one seen before: a test ledger that was restarted empty */
  reset: []
  /** each once, in the order in which they stand in the ledgers */
  transaction: [transaction: ValidatedTransaction]
  /** this ledger was validated; its transactions may still be on their way */
  ledger: [ledger: ClosedLedger]
  /** every transaction up to and including this ledger has been emitted */
  complete: [ledger: ClosedLedger]
}

/** An answer's `error` and its sentence, of a request that the server refused. */
interface ErrorAnswer {
  error?: string
  error_message?: string
  error_exception?: string
}

/**
 * A client that finds out which API version the server speaks. Version 1 is what every server has spoken so
 * far; one that no longer does answers `invalid_API_version`, as a rippled 1.x does to version 2.
 */
class LedgerClient extends Client {
  override apiVersion: typeof RIPPLED_API_V1 | typeof RIPPLED_API_V2 = RIPPLED_API_V1

  override async getServerInfo(): Promise<void> {
    const { result } = await this.request({ command: 'server_info' }).catch(err => {
      if (errorCode(err) !== 'invalid_API_version') throw err
      this.apiVersion = RIPPLED_API_V2
      return this.request({ command: 'server_info' })
    })
    this.networkID = result.info.network_id
  }
}

/**
 * The connection to an XRP Ledger server, as seen from one account: it comes back by itself after it was
 * lost, and tells of every validated transaction of the account exactly once, in ledger order, also of those
 * that were validated while it was down.
 */
export class LedgerConnection extends EventEmitter<ConnectionEvents> {
  readonly #server: string
  readonly #address: string
  #client: LedgerClient | undefined
  #closed = true
  #backoffMs = firstBackoffMs
  #retryTimer: NodeJS.Timeout | undefined
  #up = false

  // The last transaction that was emitted, and the last ledger known to be complete.
  #cursor = { ledger: 0, index: -1 }
  #complete = 0
  // Transactions that came while older ones are still being fetched; undefined when nothing is.
  #waiting: ValidatedTransaction[] | undefined
  #hashes = new Map<number, string>()

  /** the newest validated ledger */
  validated: ClosedLedger = { index: 0, closeTime: 0 }
  /** drops that the simplest transaction costs */
  baseFee = 10

  constructor(server: string, address: string) {
    super()
    this.#server = server
    this.#address = address
  }

  get isUp(): boolean {
    return this.#up
  }

  /** The network's ID, where transactions have to name it: above 1024 (xrpl.org: Network ID). */
  get networkId(): number | undefined {
    const id = this.#client?.networkID
    return id !== undefined && id > 1024 ? id : undefined
  }

  /**
   * Connects and follows the account: from the newest validated ledger on, or from where it was left at `close`.
   *
   * @param timeoutMs - how long to wait for the server
   * @throws UnreachableError
   */
  async open(timeoutMs: number): Promise<void> {
    this.#closed = false
    try {
      await this.#connect(timeoutMs)
    } catch (cause) {
      await this.close()
      throw unreachable(this.#server, cause)
    }
  }

  /** Disconnects and stays so. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#retryTimer)
    const client = this.#client
    this.#client = undefined
    this.#goDown()
    await client?.disconnect()
  }

  /**
   * Asks the server.
   *
   * @param request - a command of the XRP Ledger's public API
   * @returns the `result` of the answer
   * @throws RippledError if the server answers with an error
   * @throws UnreachableError if there is no connection, or no answer
   */
  async request<Result>(request: { command: string; [parameter: string]: unknown }): Promise<Result> {
    const client = this.#client
    if (!client?.isConnected()) throw unreachable(this.#server)
    try {
      const answer = await client.request(request as unknown as Parameters<Client['request']>[0])
      return answer.result as Result
    } catch (cause) {
      if (cause instanceof RippledError) throw cause
      throw unreachable(this.#server, cause)
    }
  }

  async #connect(timeoutMs: number): Promise<void> {
    const client = new LedgerClient(this.#server, {
      timeout: requestTimeoutMs,
      connectionTimeout: timeoutMs
    })
    this.#client = client
    this.#waiting = []
    client.on('error', () => {})
    client.on('transaction', message => {
      if (client === this.#client) this.#receive(message as unknown as Record<string, unknown>)
    })
    client.on('ledgerClosed', message => {
      if (client === this.#client) this.#onLedgerClosed(message)
    })
    const lost = () => {
      if (client === this.#client) this.#retry()
    }
    client.on('disconnected', lost)
    // xrpl.js gives up when its first attempt to reconnect fails, and forgets the subscriptions: ours does it all.
    client.connection.reconnect = async () => {
      lost()
      await client.disconnect()
    }
    await client.connect()
    const { ledger_index, ledger_time, ledger_hash, fee_base } = await this.request<LedgerMessage>({
      command: 'subscribe',
      streams: ['ledger'],
      accounts: [this.#address]
    })
    this.baseFee = fee_base
    if (this.#cursor.ledger && !(await this.#isSameLedger(ledger_index))) {
      this.#cursor = { ledger: 0, index: -1 }
      this.#hashes.clear()
      this.emit('reset')
    }
    if (!this.#cursor.ledger) this.#cursor = { ledger: ledger_index, index: Number.POSITIVE_INFINITY }
    this.#hashes.set(ledger_index, ledger_hash)
    this.validated = { index: ledger_index, closeTime: ledger_time }
    await this.#catchUp(this.validated)
    this.#backoffMs = firstBackoffMs
    this.#up = true
    this.emit('up')
  }

  #goDown(): void {
    if (!this.#up) return
    this.#up = false
    this.emit('down')
  }

  #retry(): void {
    this.#client = undefined
    this.#goDown()
    if (this.#closed) return
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => {
      this.#connect(requestTimeoutMs).catch(() => {
        this.#client?.disconnect()
        this.#retry()
      })
    }, this.#backoffMs)
    this.#backoffMs = Math.min(this.#backoffMs * 2, maxBackoffMs)
  }

  #onLedgerClosed({ ledger_index, ledger_time, ledger_hash, fee_base }: LedgerMessage): void {
    if (ledger_index <= this.validated.index) return
    const previous = this.validated
    this.validated = { index: ledger_index, closeTime: ledger_time }
    this.baseFee = fee_base
    this.#hashes.set(ledger_index, ledger_hash)
    this.#hashes.delete(ledger_index - rememberedLedgers)
    this.emit('ledger', this.validated)
    if (this.#waiting) return
    if (ledger_index === previous.index + 1) {
      // A ledger's transactions follow its closing message, so the one before it is complete now.
      this.#setComplete(previous)
    } else {
      // The server skipped ledgers in its stream: ask for what was in them.
      this.#waiting = []
      this.#catchUp(this.validated).catch(() => this.#client?.disconnect())
    }
  }

  #receive(entry: Record<string, unknown>): void {
    const transaction = normalize(entry)
    if (!transaction) return
    if (this.#waiting) this.#waiting.push(transaction)
    else this.#deliver(transaction)
  }

  #deliver(transaction: ValidatedTransaction): void {
    const { ledgerIndex: ledger, meta } = transaction
    const index = meta.TransactionIndex
    if (ledger < this.#cursor.ledger || (ledger === this.#cursor.ledger && index <= this.#cursor.index))
      return
    this.#cursor = { ledger, index }
    this.emit('transaction', transaction)
  }

  #setComplete(ledger: ClosedLedger): void {
    if (ledger.index <= this.#complete) return
    this.#complete = ledger.index
    this.emit('complete', ledger)
  }

  /** Fetches and delivers what lies between the cursor and a ledger, then what arrived meanwhile. */
  async #catchUp(upTo: ClosedLedger): Promise<void> {
    if (this.#cursor.ledger < upTo.index) {
      let marker: unknown
      do {
        const page = await this.request<{ transactions: Record<string, unknown>[]; marker?: unknown }>({
          command: 'account_tx',
          account: this.#address,
          ledger_index_min: this.#cursor.ledger,
          ledger_index_max: upTo.index,
          forward: true,
          marker
        })
        for (const entry of page.transactions) {
          const transaction = normalize(entry)
          if (transaction) this.#deliver(transaction)
        }
        marker = page.marker
      } while (marker !== undefined)
    }
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    this.#setComplete(upTo)
    for (const transaction of waiting) this.#deliver(transaction)
  }

  /** Whether the server still has a ledger that was seen before. */
  async #isSameLedger(newest: number): Promise<boolean> {
    const known = [...this.#hashes].filter(([index]) => index <= newest).at(-1)
    // Servers of one network lag behind each other by a few ledgers, never by all that are remembered.
    if (!known) return false
    const [ledger_index, hash] = known
    try {
      const answer = await this.request<{ ledger_hash: string }>({ command: 'ledger', ledger_index })
      return answer.ledger_hash === hash
    } catch (err) {
      if (errorCode(err) !== 'lgrNotFound') throw err
      return false
    }
  }
}

interface LedgerMessage {
  ledger_index: number
  ledger_time: number
  ledger_hash: string
  fee_base: number
}

/** The short name of the error that a server answered with, e.g. `actNotFound`. */
export function errorCode(err: unknown): string | undefined {
  return err instanceof RippledError ? (err.data as ErrorAnswer | undefined)?.error : undefined
}

/** An error of the Ledger Plugin Interface for a request that a server refused. */
export function refused(what: string, cause: unknown): Error {
  if (!(cause instanceof RippledError)) return cause as Error
  const { error, error_message, error_exception } = (cause.data ?? {}) as ErrorAnswer
  return new NotAcceptedError(`${what}: the server answered "${error_exception ?? error_message ?? error}"`, {
    cause
  })
}

function unreachable(server: string, cause?: unknown): UnreachableError {
  const reason = cause instanceof Error && cause.message ? ` (${cause.message})` : ''
  return new UnreachableError(`The ledger at "${server}" cannot be reached${reason}`, { cause })
}

/** One shape for what streams and `account_tx` answer in API versions 1 and 2. */
function normalize(entry: Record<string, unknown>): ValidatedTransaction | undefined {
  const tx = (entry.tx_json ?? entry.transaction ?? entry.tx) as Record<string, unknown> | undefined
  const meta = entry.meta as ValidatedTransaction['meta'] | undefined
  const hash = entry.hash ?? tx?.hash
  const ledgerIndex = entry.ledger_index ?? tx?.ledger_index
  if (!entry.validated || !tx || typeof meta !== 'object') return undefined
  if (typeof hash !== 'string' || typeof ledgerIndex !== 'number') return undefined
  return { hash, tx, meta, ledgerIndex }
}

import { DuplicateIdError, InvalidFieldsError, UnreachableError } from './errors.ts'
import type { Order, Version } from './job.ts'
import { check, type Json, parseObject, toObject } from './json.ts'
import type { LedgerConnection } from './ledger-connection.ts'
import type { ValidatedTransaction } from './ledger-transaction.ts'
import { hasResult, transactionFailed } from './refusals.ts'
import type { Submitter } from './submitter.ts'
import { toUnixMs } from './transfer.ts'
import type { TransferLog, TransferRecord } from './transfer-log.ts'
import type { Store } from './types.ts'

/** What a program must not forget of a transfer that it has sent, or is about to send. */
interface Note {
  /** see `termsOf` */
  terms: string
  /** all that may still be applied; none for a transfer that is on the ledger */
  versions: Version[]
  noteToSelf?: unknown
}

/** What an outbox needs of its session. */
interface OutboxHost {
  address: string
  connection: LedgerConnection
  submitter: Submitter
  /** the outgoing transfers */
  log: TransferLog
  /** resolves when what an earlier run of the program has left open is in the log */
  ownKnown: Promise<void>
}

/**
 * Sends an account's transfers, each once. With the host's store that holds for all runs of the program: in it each
 * transfer is noted before it is sent.
 */
export class Outbox {
  readonly #host: OutboxHost
  readonly #store: Store | undefined
  // What was noted of transfers that are about to be told.
  readonly #recalled = new Map<string, Note>()
  // How often the host has disconnected.
  #disconnects = 0

  constructor(host: OutboxHost, store: Store | undefined) {
    this.#host = host
    this.#store = store
  }

  /** Sends a transfer to the ledger, and sees to it that it is known what became of it. */
  async send(record: TransferRecord, tx: Json): Promise<void> {
    const { log, ownKnown } = this.#host
    const disconnects = this.#disconnects
    try {
      await ownKnown
      if (record.state !== 'sending') return
      await this.#sendNoted(record, tx, disconnects)
      // It was sent by an earlier run, or in ledgers that were missed, so that nothing has told of it.
      if (record.state === 'sending') log.close(record, 'lost')
    } catch (err) {
      const isUnsent =
        err instanceof DuplicateIdError ||
        err instanceof InvalidFieldsError ||
        hasResult(err, 'notSent') ||
        hasResult(err, 'expired')
      if (record.state === 'sending' && isUnsent) log.forget(record)
      // Of one that nobody can tell the outcome of, the id stays taken.
      else if (record.state === 'sending' && !(err instanceof UnreachableError)) log.close(record, 'failed')
      throw err
    }
  }

  /** Gives up what has not been sent: its senders are told the reason. */
  giveUpUnsent(reason: string): void {
    this.#disconnects++
    this.#host.submitter.giveUpUnsent(reason)
  }

  /** Finds what was noted of the account's own transfers, before they are told. */
  async recall(transactions: ValidatedTransaction[]): Promise<void> {
    if (!this.#store) return
    for (const { account, content } of transactions) {
      if (content?.kind !== 'transfer' || account !== this.#host.address) continue
      const { id } = content.transfer
      if (this.#host.log.get(id)) continue
      const note = await this.#get(id).catch(() => undefined)
      if (note?.terms === content.terms) this.#recalled.set(id, note)
    }
  }

  /** What the host has noted of a transfer that is being told. */
  noteToSelf(id: string): unknown {
    const note = this.#recalled.get(id)?.noteToSelf
    this.#recalled.delete(id)
    return note
  }

  async #sendNoted(record: TransferRecord, tx: Json, disconnects: number): Promise<void> {
    const { submitter, connection } = this.#host
    const { terms, transfer, cancelAfter } = record
    const { id, amount, to, noteToSelf, expiresAt } = transfer
    const order: Order = {
      tx,
      what: `Transfer "${id}" of ${amount} drops to "${to}"`,
      pointlessAfter: cancelAfter,
      ...(this.#store && { note: versions => this.#put(id, { terms, versions, noteToSelf }) })
    }
    const known = this.#store && (await this.#get(id))
    if (record.hasDouble || (known && known.terms !== terms))
      throw new DuplicateIdError(`Another transfer was sent under the id "${id}"`)
    if (known?.versions.length === 0) return
    if (!known && disconnects !== this.#disconnects)
      throw transactionFailed(order.what, 'notSent', 'The plugin was disconnected meanwhile')
    const { closeTime } = connection.validated
    const now = new Date(toUnixMs(closeTime)).toISOString()
    check(
      known || cancelAfter > closeTime,
      `The expiry "${expiresAt}" of transfer "${id}" is in the past: the ledger's time is "${now}"`
    )
    try {
      await (known ? submitter.resume(order, known.versions) : submitter.submit(order))
      await this.#put(id, { terms, versions: [], noteToSelf })
    } catch (err) {
      // Whatever cannot be told stays noted.
      if (!(err instanceof UnreachableError) || hasResult(err, 'notSent'))
        await this.#store?.del(this.#key(id))
      throw err
    }
  }

  async #get(id: string): Promise<Note | undefined> {
    const text = await this.#store?.get(this.#key(id))
    const { terms, versions, noteToSelf } = (typeof text === 'string' && parseObject(text)) || {}
    if (typeof terms !== 'string' || !Array.isArray(versions)) return undefined
    return { terms, versions: versions.filter(isVersion), noteToSelf }
  }

  async #put(id: string, note: Note): Promise<void> {
    await this.#store?.put(this.#key(id), JSON.stringify(note))
  }

  #key(id: string): string {
    return `ilp-plugin-xrp-escrow:${this.#host.address}:${id}`
  }
}

function isVersion(value: unknown): value is Version {
  const { hash, blob, sequence, lastLedger } = toObject(value) ?? {}
  return (
    [hash, blob].every(text => typeof text === 'string') && [sequence, lastLedger].every(Number.isInteger)
  )
}

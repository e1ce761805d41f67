import type { Wallet } from 'xrpl'
import {
  type ClosedLedger,
  errorCode,
  type LedgerConnection,
  type ValidatedTransaction
} from './ledger-connection.ts'
import { signTransaction } from './sign.ts'

// A transaction may be validated in this many ledgers after the newest one, and never later.
const ledgersToLive = 20
// A transaction that is still open after this many ledgers may have been lost on its way: it is sent again.
const ledgersBeforeResend = 3
// How often a transaction that can certainly not be applied any more is signed anew before its sender is told.
const maxAttempts = 10
// How many ledgers to wait for the network's fee to come down to what the options allow.
const maxBusyLedgers = 20

/** A transaction to be sent: what is missing are Account, Sequence, Fee, LastLedgerSequence and the signature. */
export interface Order {
  tx: Record<string, unknown>
  /** what it costs, in multiples of the simplest transaction's cost */
  feeUnits: number
  /** ledger time after which there is no point in sending it again */
  pointlessAfter: number
}

/** A transaction did not happen, and will not. */
export class TransactionFailedError extends Error {
  /** e.g. `tecUNFUNDED` or `temBAD_AMOUNT` */
  readonly engineResult: string

  constructor(engineResult: string, message: string) {
    super(message)
    this.engineResult = engineResult
  }
}

/**
 * A transaction on its way. It keeps its sequence for as long as any version of it could still be applied: two
 * transactions of one sequence exclude each other on the ledger, so that nothing is ever paid twice.
 */
interface Job extends Order {
  sequence: number
  /** the signed versions that could still be applied, by hash: more than one only after the fee was raised */
  blobs: Map<string, { blob: string; lastLedger: number }>
  sentIn: number
  attempts: number
  busyLedgers: number
  engineResult: string
  resolve(transaction: ValidatedTransaction): void
  reject(error: Error): void
}

// A server that cannot take a transaction just now (xrpl.org: Universal Errors, and those of `submit`).
const passingErrors = new Set(['tooBusy', 'slowDown', 'noNetwork', 'noCurrent', 'noClosed', 'notReady'])

/**
 * Sends the transactions of one account, each until it is final: validated as a success, validated as a
 * failure, or certain never to be validated.
 *
 * @see xrpl.org, "Reliable Transaction Submission"
 */
export class Submitter {
  readonly #connection: LedgerConnection
  readonly #wallet: Wallet
  readonly #maxFeeDrops: number

  // Not sent yet, in the order in which they were asked for.
  #queue: Job[] = []
  // Sent and not final, by sequence.
  #live = new Map<number, Job>()

  // The lowest sequence that the account has not used, as far as is known; undefined: ask the server.
  #firstFree: number | undefined
  // How much dearer than at rest the network is just now.
  #feeFactor = 1
  #resend = false
  #resentIn = 0
  #pumping = false

  constructor(connection: LedgerConnection, wallet: Wallet, maxFeeDrops: number) {
    this.#connection = connection
    this.#wallet = wallet
    this.#maxFeeDrops = maxFeeDrops
  }

  /**
   * Sends a transaction; it does not wait for those sent before to be validated.
   *
   * @returns the transaction as it was validated
   * @throws TransactionFailedError when it is certain that it had no effect
   */
  submit(order: Order): Promise<ValidatedTransaction> {
    return new Promise((resolve, reject) => {
      this.#queue.push({
        ...order,
        sequence: 0,
        blobs: new Map(),
        sentIn: 0,
        attempts: 0,
        busyLedgers: 0,
        engineResult: '',
        resolve,
        reject
      })
      this.#pump()
    })
  }

  /** The connection is there again: whatever was on its way may be lost, or may have arrived. */
  onUp(): void {
    this.#firstFree = undefined
    this.#resend = this.#live.size > 0
    this.#pump()
  }

  /** A transaction was validated, of this account or another, sent from here or elsewhere. */
  onTransaction(transaction: ValidatedTransaction): void {
    if (transaction.tx.Account !== this.#wallet.classicAddress) return
    const sequence = Number(transaction.tx.Sequence)
    if (this.#firstFree !== undefined) this.#firstFree = Math.max(this.#firstFree, sequence + 1)
    const job = this.#live.get(sequence)
    if (job?.blobs.has(transaction.hash)) this.#settle(job, transaction)
    // Another program that uses this account took the sequence: ours can never be applied with it.
    else if (job) this.#tryAnew([job])
    this.#pump()
  }

  /** A ledger was validated. */
  onLedger(): void {
    this.#feeFactor = 1
    this.#pump()
  }

  /** Everything up to a ledger is known: what had to be in one by then and is not, never will be. */
  async onComplete(ledger: ClosedLedger): Promise<void> {
    const dead: Job[] = []
    for (const job of this.#liveInOrder()) {
      const over = [...job.blobs.values()].every(({ lastLedger }) => lastLedger <= ledger.index)
      if (over && (await this.#isDead(job))) dead.push(job)
      else if (job.sentIn + ledgersBeforeResend <= ledger.index) this.#resend = true
    }
    this.#tryAnew(dead.filter(job => this.#live.get(job.sequence) === job))
    this.#pump()
  }

  /**
   * Gives up on everything that is on its way, whatever becomes of it.
   *
   * @param reason - what the senders are told
   */
  stop(reason: Error): void {
    for (const job of new Set([...this.#live.values(), ...this.#queue])) job.reject(reason)
    this.#queue = []
    this.#live.clear()
    this.#firstFree = undefined
    this.#resend = false
  }

  /** Sends what there is to send, one preliminary answer at a time, until it has to wait for the next ledger. */
  async #pump(): Promise<void> {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (this.#connection.isUp) {
        if (this.#resend) await this.#resendAll()
        else if (!this.#queue[0] || !(await this.#send(this.#queue[0]))) break
      }
    } finally {
      this.#pumping = false
    }
  }

  /** Sends again what is not final, as it is. Whatever the answers are, the ledgers decide. */
  async #resendAll(): Promise<void> {
    this.#resend = false
    this.#resentIn = this.#connection.validated.index
    for (const job of this.#liveInOrder()) {
      for (const { blob } of job.blobs.values()) {
        job.sentIn = this.#connection.validated.index
        await this.#connection.request({ command: 'submit', tx_blob: blob }).catch(() => {})
        if (!this.#connection.isUp) return
      }
    }
  }

  /** Signs and sends one transaction of the queue. Returns false if the rest has to wait for the next ledger. */
  async #send(job: Job): Promise<boolean> {
    const { validated, networkId, baseFee } = this.#connection
    try {
      job.sequence ||= await this.#nextSequence()
      if (this.#queue[0] !== job) return true
      const fee = Math.ceil(baseFee * job.feeUnits * this.#feeFactor)
      if (fee > this.#maxFeeDrops)
        return this.#wait(job, `a fee of ${fee} drops, more than maxFeeDrops allows (${this.#maxFeeDrops})`)
      const lastLedger = validated.index + ledgersToLive
      const { blob, hash } = signTransaction(
        {
          ...job.tx,
          Account: this.#wallet.classicAddress,
          Sequence: job.sequence,
          Fee: String(fee),
          LastLedgerSequence: lastLedger,
          ...(networkId === undefined ? {} : { NetworkID: networkId })
        },
        this.#wallet
      )
      this.#queue.shift()
      job.blobs.set(hash, { blob, lastLedger })
      job.sentIn = validated.index
      this.#live.set(job.sequence, job)
      const answer = await this.#connection.request<SubmitAnswer>({ command: 'submit', tx_blob: blob })
      // It may have been validated, or displaced, before its preliminary answer came.
      return !job.blobs.has(hash) || (await this.#onAnswer(job, hash, answer))
    } catch (err) {
      const code = errorCode(err)
      if (!code) {
        // No answer: it may have arrived or not. It is sent again, as it is, with the next ledger or connection.
        this.#resend = this.#connection.isUp
        return false
      }
      if (passingErrors.has(code)) return false
      this.#fail(job, code, err instanceof Error ? err.message : code)
      return true
    }
  }

  async #onAnswer(job: Job, hash: string, answer: SubmitAnswer): Promise<boolean> {
    const { engine_result: result, engine_result_message: message } = answer
    job.engineResult = result
    switch (result) {
      case 'terPRE_SEQ':
        // An earlier one is missing: one of ours that got lost, or a sequence that was never used after all.
        this.#resend = this.#resentIn !== this.#connection.validated.index
        this.#firstFree = undefined
        return true
      case 'tefPAST_SEQ':
        // Another program used the sequence first, unless it was an earlier version of this very transaction.
        this.#firstFree = undefined
        if (job.blobs.size === 1) this.#tryAnew([job])
        return true
      case 'tefMAX_LEDGER':
        job.blobs.delete(hash)
        this.#queue.unshift(job)
        return false
      case 'telINSUF_FEE_P':
        await this.#raiseFee()
        this.#queue.unshift(job)
        return true
    }
    if (result.startsWith('telCAN_NOT_QUEUE')) {
      job.blobs.delete(hash)
      this.#queue.unshift(job)
      return this.#wait(job, `no place in the server's queue (${result})`)
    }
    const refusedForGood = /^te[flm]/.test(result) && result !== 'tefALREADY'
    if (refusedForGood && job.blobs.size === 1) this.#fail(job, result, message)
    return true
  }

  /** Leaves a transaction at the head of the queue until the next ledger, a limited number of times. */
  #wait(job: Job, why: string): boolean {
    job.busyLedgers++
    if (job.busyLedgers > maxBusyLedgers && job.blobs.size === 0) {
      this.#fail(
        job,
        'telINSUF_FEE_P',
        `The network has been asking for ${why} for ${maxBusyLedgers} ledgers`
      )
    }
    return false
  }

  /** Takes over what the server asks for just now, with a little on top since others do the same. */
  async #raiseFee(): Promise<void> {
    const { drops } = await this.#connection.request<{
      drops: { base_fee: string; open_ledger_fee: string }
    }>({
      command: 'fee'
    })
    const asked = (Number(drops.open_ledger_fee) / Number(drops.base_fee)) * 1.1
    this.#feeFactor = Math.max(asked, this.#feeFactor * 1.1)
  }

  /** The lowest sequence that neither the ledger nor a transaction on its way has taken. */
  async #nextSequence(): Promise<number> {
    if (this.#firstFree === undefined) {
      const { account_data } = await this.#connection.request<{ account_data: { Sequence: number } }>({
        command: 'account_info',
        account: this.#wallet.classicAddress,
        ledger_index: 'current'
      })
      this.#firstFree = account_data.Sequence
    }
    let sequence = this.#firstFree
    while (this.#live.has(sequence)) sequence++
    return sequence
  }

  /** Whether a transaction whose last ledger has passed is in none: the server's own word, on top of its stream. */
  async #isDead(job: Job): Promise<boolean> {
    for (const hash of job.blobs.keys()) {
      try {
        const found = await this.#connection.request<FoundTransaction>({ command: 'tx', transaction: hash })
        if (!found.validated) continue
        this.#settle(job, {
          hash,
          tx: found.tx_json ?? found,
          meta: found.meta,
          ledgerIndex: found.ledger_index
        })
        return false
      } catch (err) {
        if (errorCode(err) !== 'txnNotFound') return false
      }
    }
    return true
  }

  #settle(job: Job, transaction: ValidatedTransaction): void {
    this.#forget(job)
    const result = transaction.meta.TransactionResult
    if (result === 'tesSUCCESS') job.resolve(transaction)
    else job.reject(new TransactionFailedError(result, `The ledger answered ${result}`))
  }

  #fail(job: Job, engineResult: string, message: string): void {
    this.#forget(job)
    job.reject(new TransactionFailedError(engineResult, message))
  }

  /** Signs transactions anew, with another sequence, of which no version can be applied any more. */
  #tryAnew(jobs: Job[]): void {
    const again: Job[] = []
    for (const job of jobs) {
      job.attempts++
      if (job.attempts < maxAttempts && this.#connection.validated.closeTime < job.pointlessAfter)
        again.push(job)
      else
        this.#fail(
          job,
          job.engineResult || 'tefMAX_LEDGER',
          'It was in none of the ledgers that it could have been in'
        )
    }
    for (const job of again) {
      this.#forget(job)
      job.blobs.clear()
      job.sequence = 0
    }
    this.#queue.unshift(...again)
    if (again.length) this.#firstFree = undefined
  }

  #forget(job: Job): void {
    if (this.#live.get(job.sequence) === job) this.#live.delete(job.sequence)
    const queued = this.#queue.indexOf(job)
    if (queued >= 0) this.#queue.splice(queued, 1)
  }

  #liveInOrder(): Job[] {
    return [...this.#live.values()].sort((a, b) => a.sequence - b.sequence)
  }
}

interface SubmitAnswer {
  engine_result: string
  engine_result_message: string
}

/** API version 2 puts the transaction into `tx_json`, version 1 leaves its fields beside the others. */
interface FoundTransaction extends Record<string, unknown> {
  tx_json?: Record<string, unknown>
  validated?: boolean
  meta: ValidatedTransaction['meta']
  ledger_index: number
}

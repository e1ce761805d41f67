import type { Wallet } from 'xrpl'
import { UnreachableError } from './errors.ts'
import {
  type ClosedLedger,
  errorCode,
  type LedgerConnection,
  type ValidatedTransaction
} from './ledger-connection.ts'
import type { RequestRefusedError } from './server-socket.ts'
import { type SignedTransaction, signer } from './sign.ts'

// A transaction may be validated in this many ledgers after the newest one, and never later.
const ledgersToLive = 20
// A transaction that is still open after this many ledgers may have been lost on its way: it is sent again.
const ledgersBeforeResend = 3
// How often a transaction that can certainly not be applied any more is signed anew before its sender is told.
const maxAttempts = 10
// How many ledgers to wait for a place in them at a fee that the options allow.
const maxBusyLedgers = 20

/** A transaction to be sent: what is missing are Account, Sequence, Fee, LastLedgerSequence and the signature. */
export interface Order {
  tx: Record<string, unknown>
  /** what it costs, in multiples of the simplest transaction's cost */
  feeUnits: number
  /** ledger time after which there is no point in sending it again */
  pointlessAfter: number
}

/** Stands for the engine result of a transaction that was given up before it was sent. */
export const notSent = 'notSent'

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
  /** 0 as long as it has no version */
  sequence: number
  /** the signed versions that could still be applied, by hash: more than one after the fee was raised */
  versions: Map<string, { blob: string; lastLedger: number }>
  /** the newest ledger when the first of them was sent, and when the last one was */
  firstSentIn: number
  sentIn: number
  attempts: number
  /** since which ledger it has been waiting for a place; 0 if it is not */
  busySince: number
  engineResult: string
  engineMessage: string
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
  readonly #address: string
  readonly #sign: (tx: Record<string, unknown>) => SignedTransaction
  readonly #maxFeeDrops: number

  // To be sent, in the order in which they were asked for; those that were refused for now are in front.
  #queue: Job[] = []
  // Those that have versions, by sequence.
  #live = new Map<number, Job>()

  // The lowest sequence that the account has not used, as far as is known; undefined: ask the server.
  #firstFree: number | undefined
  // How much dearer than at rest the network is just now.
  #feeFactor = 1
  // Nothing is sent before this ledger is validated.
  #pausedUntil = 0
  #pumping = false
  #reviewing = false
  // The transaction whose preliminary answer is waited for.
  #awaited: { job: Job; release: () => void } | undefined

  constructor(connection: LedgerConnection, wallet: Wallet, maxFeeDrops: number) {
    this.#connection = connection
    this.#address = wallet.classicAddress
    this.#sign = signer(wallet)
    this.#maxFeeDrops = maxFeeDrops
  }

  /**
   * Sends a transaction; it does not wait for those sent before to be validated.
   *
   * @returns the transaction as it was validated
   * @throws TransactionFailedError when it is certain that it had no effect
   * @throws UnreachableError when nobody can tell any more
   */
  submit(order: Order): Promise<ValidatedTransaction> {
    return new Promise((resolve, reject) => {
      this.#queue.push({
        ...order,
        sequence: 0,
        versions: new Map(),
        firstSentIn: 0,
        sentIn: 0,
        attempts: 0,
        busySince: 0,
        engineResult: '',
        engineMessage: '',
        resolve,
        reject
      })
      this.#pump()
    })
  }

  /** The connection is there again: whatever was on its way may be lost, or may have arrived. */
  onUp(): void {
    this.#firstFree = undefined
    this.#pausedUntil = 0
    for (const job of this.#live.values()) job.sentIn = Number.NEGATIVE_INFINITY
    this.#pump()
  }

  /** A transaction was validated, of this account or another, sent from here or elsewhere. */
  onTransaction(transaction: ValidatedTransaction): void {
    if (transaction.tx.Account !== this.#address) return
    const sequence = Number(transaction.tx.Sequence)
    if (this.#firstFree !== undefined) this.#firstFree = Math.max(this.#firstFree, sequence + 1)
    const job = this.#live.get(sequence)
    if (job?.versions.has(transaction.hash)) this.#settle(job, transaction)
    // Another program that uses this account took the sequence: ours can never be applied with it.
    else if (job) this.#tryAnew([job])
    this.#pump()
  }

  /** A ledger was validated. */
  onLedger({ index }: ClosedLedger): void {
    this.#feeFactor = 1
    // An answer that has not come by now was lost. Whatever it was, the ledgers decide.
    if (this.#awaited && isStale(this.#awaited.job, index)) this.#awaited.release()
    this.#pump()
  }

  /** Everything up to a ledger is known: what had to be in one by then and is not, never will be. */
  onComplete(ledger: ClosedLedger): void {
    this.#review(ledger.index)
  }

  /**
   * Gives up what has not been sent, and signs nothing anew. What has been sent is followed until it is final.
   *
   * @param reason - what those whose transactions are given up are told
   */
  giveUpUnsent(reason: string): void {
    for (const job of this.#live.values()) job.attempts = maxAttempts
    const unsent = this.#queue.filter(job => job.versions.size === 0)
    this.#queue = []
    for (const job of unsent) job.reject(new TransactionFailedError(notSent, reason))
  }

  /** Forgets everything: the ledger that it was for is gone. */
  giveUp(reason: Error): void {
    const all = new Set([...this.#live.values(), ...this.#queue])
    this.#live.clear()
    this.#queue = []
    this.#firstFree = undefined
    for (const job of all) {
      job.versions.clear()
      job.reject(reason)
    }
  }

  /** Sends what there is to send, one preliminary answer at a time, until it has to wait for the next ledger. */
  async #pump(): Promise<void> {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (this.#connection.isUp && this.#connection.validated.index >= this.#pausedUntil) {
        const lost = this.#firstStale()
        const next = this.#queue[0]
        if (lost) await this.#resend(lost)
        else if (next) await this.#send(next)
        else break
      }
    } finally {
      this.#pumping = false
    }
  }

  #firstStale(): Job | undefined {
    let first: Job | undefined
    for (const job of this.#live.values()) {
      if (isStale(job, this.#connection.validated.index) && !(first && first.sequence < job.sequence))
        first = job
    }
    return first
  }

  /** Sends again what is not final, as it is. Whatever the answer is, the ledgers decide. */
  async #resend(job: Job): Promise<void> {
    job.sentIn = this.#connection.validated.index
    const version = [...job.versions.values()].at(-1)
    if (version && version.lastLedger > job.sentIn) await this.#ask(job, version.blob).catch(() => {})
  }

  /** Signs and sends one transaction of the queue. */
  async #send(job: Job): Promise<void> {
    try {
      const sequence = job.sequence || (await this.#nextSequence())
      if (this.#queue[0] !== job) return
      const { baseFee } = this.#connection
      const fee = Math.ceil(baseFee * job.feeUnits * this.#feeFactor)
      if (fee > this.#maxFeeDrops) {
        const why = `The network asks for a fee of ${fee} drops, more than maxFeeDrops allows (${this.#maxFeeDrops})`
        this.#waitForPlace(job, 'telINSUF_FEE_P', why)
        return
      }
      const { blob, hash } = this.#signVersion(job, sequence, fee)
      this.#queue.shift()
      const answer = await this.#ask(job, blob)
      // It may have been validated, or displaced, before its preliminary answer came.
      if (answer && job.versions.has(hash)) await this.#onAnswer(job, hash, answer)
    } catch (err) {
      // Without an answer it may have arrived or not: it is sent again in time, and the rest waits for a ledger.
      this.#pausedUntil = this.#connection.validated.index + 1
      if (err instanceof UnreachableError || passingErrors.has(errorCode(err) ?? '')) return
      if (job.versions.size > 1) return
      this.#fail(job, errorCode(err) ?? 'error', err instanceof Error ? err.message : String(err))
      this.#pausedUntil = 0
    }
  }

  #signVersion(job: Job, sequence: number, fee: number): SignedTransaction {
    const { validated, networkId } = this.#connection
    const lastLedger = validated.index + ledgersToLive
    const tx = {
      ...job.tx,
      Account: this.#address,
      Sequence: sequence,
      Fee: String(fee),
      LastLedgerSequence: lastLedger,
      ...(networkId === undefined ? {} : { NetworkID: networkId })
    }
    const signed = this.#sign(tx)
    job.sequence = sequence
    if (job.versions.size === 0) job.firstSentIn = validated.index
    job.versions.set(signed.hash, { blob: signed.blob, lastLedger })
    job.sentIn = validated.index
    this.#live.set(sequence, job)
    return signed
  }

  /** Submits a version. Returns undefined if its answer does not matter any more, or does not come. */
  async #ask(job: Job, blob: string): Promise<SubmitAnswer | undefined> {
    const released = new Promise<undefined>(resolve => {
      this.#awaited = { job, release: () => resolve(undefined) }
    })
    try {
      const answer = this.#connection.request<SubmitAnswer>({ command: 'submit', tx_blob: blob })
      return await Promise.race([answer, released])
    } finally {
      this.#awaited = undefined
    }
  }

  /**
   * Acts on a preliminary result. A server keeps what it refuses, whatever the reason, and may apply it to a
   * later ledger: only what is malformed can be given up at once.
   */
  async #onAnswer(job: Job, hash: string, answer: SubmitAnswer): Promise<void> {
    const { engine_result: result, engine_result_message: message } = answer
    job.engineResult = result
    job.engineMessage = message
    switch (result) {
      case 'tefALREADY':
        return
      case 'terPRE_SEQ':
        // An earlier one is missing: one of ours that got lost, or a sequence that was never used after all.
        this.#firstFree = undefined
        for (const earlier of this.#live.values()) {
          const mayBeLost = earlier.sentIn < this.#connection.validated.index
          if (earlier.sequence < job.sequence && mayBeLost) earlier.sentIn = Number.NEGATIVE_INFINITY
        }
        return
      case 'tefPAST_SEQ':
        return this.#onSequenceTaken(job)
      case 'tefMAX_LEDGER':
        // The server's ledgers are far ahead of those that it has told of.
        job.versions.delete(hash)
        if (job.versions.size === 0) this.#forget(job)
        this.#waitForPlace(job, result, message)
        return
      case 'telINSUF_FEE_P':
      case 'telCAN_NOT_QUEUE_FEE':
        await this.#raiseFee()
        if (job.versions.has(hash)) this.#queue.unshift(job)
        return
    }
    const isMalformed = /^te[fm]/.test(result) || networkErrors.has(result)
    if (isMalformed && job.versions.size === 1) this.#fail(job, result, message)
    else if (!isMalformed && result.startsWith('tel')) this.#waitForPlace(job, result, message)
    else job.busySince = 0
  }

  /** Another program used the sequence first, unless it was an earlier version of this very transaction. */
  async #onSequenceTaken(job: Job): Promise<void> {
    this.#firstFree = undefined
    if (job.versions.size > 1) return
    // Until that is validated it may be undone, and ours be applied: then it is the stream that tells.
    const isTaken = (await this.#accountSequence('validated')) > job.sequence
    if (isTaken && this.#isLive(job)) this.#tryAnew([job])
  }

  /** Keeps a transaction at the head of the queue until the next ledger, for a limited number of them. */
  #waitForPlace(job: Job, engineResult: string, message: string): void {
    const { index } = this.#connection.validated
    job.busySince ||= index
    job.engineResult = engineResult
    job.engineMessage = message
    this.#pausedUntil = index + 1
    const isWaiting = this.#queue[0] === job
    if (index - job.busySince < maxBusyLedgers) {
      if (!isWaiting) this.#queue.unshift(job)
      return
    }
    if (isWaiting) this.#queue.shift()
    if (job.versions.size === 0) this.#fail(job, engineResult, message)
    // It could still be applied: its sender is told when that is over.
    else job.attempts = maxAttempts
  }

  /** Takes over what the server asks for just now, with a little on top since others do the same. */
  async #raiseFee(): Promise<void> {
    const { drops } = await this.#connection
      .request<FeeAnswer>({ command: 'fee' })
      .catch(() => ({ drops: { base_fee: '1', open_ledger_fee: '1' } }))
    const asked = Number(drops.open_ledger_fee) / Number(drops.base_fee)
    this.#feeFactor = Math.max(asked * 1.1, this.#feeFactor * 1.5)
  }

  /** The lowest sequence that neither the ledger nor a transaction on its way has taken. */
  async #nextSequence(): Promise<number> {
    this.#firstFree ??= await this.#accountSequence('current')
    let sequence = this.#firstFree
    while (this.#live.has(sequence)) sequence++
    return sequence
  }

  async #accountSequence(ledger_index: 'current' | 'validated'): Promise<number> {
    const { account_data } = await this.#connection.request<{ account_data: { Sequence: number } }>({
      command: 'account_info',
      account: this.#address,
      ledger_index
    })
    return account_data.Sequence
  }

  /** Signs anew what had to be in a ledger up to this one and is in none. */
  async #review(lastLedger: number): Promise<void> {
    if (this.#reviewing) return
    this.#reviewing = true
    try {
      const dead: Job[] = []
      for (const job of this.#live.values()) {
        if (isOver(job, lastLedger) && (await this.#isDead(job))) dead.push(job)
      }
      // While the server was asked, they may have come to life in another way.
      this.#tryAnew(dead.filter(job => this.#isLive(job) && isOver(job, lastLedger)))
    } finally {
      this.#reviewing = false
    }
    this.#pump()
  }

  /** Whether a transaction whose last ledger has passed is in none: the server's own word, on top of its stream. */
  async #isDead(job: Job): Promise<boolean> {
    const first = job.firstSentIn
    const last = Math.max(...[...job.versions.values()].map(({ lastLedger }) => lastLedger))
    let searchedAll = true
    try {
      for (const transaction of [...job.versions.keys()]) {
        const request = { command: 'tx', transaction, min_ledger: first, max_ledger: last }
        try {
          const found = await this.#connection.request<FoundTransaction>(request)
          if (found.validated && this.#isLive(job)) {
            const { tx_json: tx = found, meta, ledger_index: ledgerIndex } = found
            this.#settle(job, { hash: transaction, tx, meta, ledgerIndex })
          }
          return false
        } catch (err) {
          if (errorCode(err) !== 'txnNotFound') return false
          searchedAll &&= (err as RequestRefusedError).answer.searched_all !== false
        }
      }
      // A server without those ledgers cannot have found it; but if its sequence is unused, it is in none.
      if (searchedAll || (await this.#accountSequence('validated')) <= job.sequence) return true
    } catch {
      return false
    }
    this.#forget(job)
    job.reject(
      new UnreachableError(
        `The server does not have the ledgers ${first} to ${last} any more, so it cannot tell whether it was carried out`
      )
    )
    return false
  }

  #settle(job: Job, transaction: ValidatedTransaction): void {
    this.#forget(job)
    const result = transaction.meta.TransactionResult
    if (result === 'tesSUCCESS') job.resolve(transaction)
    else
      job.reject(new TransactionFailedError(result, `Ledger ${transaction.ledgerIndex} has it as a failure`))
  }

  #fail(job: Job, engineResult: string, message: string): void {
    this.#forget(job)
    job.reject(new TransactionFailedError(engineResult, message))
  }

  /** Puts transactions, of which no version can be applied any more, back into the queue. */
  #tryAnew(jobs: Job[]): void {
    const again: Job[] = []
    for (const job of jobs) {
      job.attempts++
      const isPointless = this.#connection.validated.closeTime >= job.pointlessAfter
      const isHopeless = job.attempts >= maxAttempts || hopeless.has(job.engineResult)
      if (!isPointless && !isHopeless) again.push(job)
      else if (/^te[lr]/.test(job.engineResult) && isHopeless)
        this.#fail(job, job.engineResult, job.engineMessage)
      else this.#fail(job, 'tefMAX_LEDGER', 'It was in none of the ledgers that it could have been in')
    }
    again.sort((a, b) => a.sequence - b.sequence)
    for (const job of again) this.#forget(job)
    this.#queue.unshift(...again)
    if (again.length) this.#firstFree = undefined
  }

  /** Takes a transaction out of everything; none of its versions matters any more. */
  #forget(job: Job): void {
    if (this.#isLive(job)) this.#live.delete(job.sequence)
    job.sequence = 0
    job.versions.clear()
    const queued = this.#queue.indexOf(job)
    if (queued >= 0) this.#queue.splice(queued, 1)
    if (this.#awaited?.job === job) this.#awaited.release()
  }

  #isLive(job: Job): boolean {
    return this.#live.get(job.sequence) === job
  }
}

// No other ledger will make these good.
const hopeless = new Set(['terINSUF_FEE_B', 'terNO_ACCOUNT'])
const networkErrors = new Set([
  'telNETWORK_ID_MAKES_TX_NON_CANONICAL',
  'telREQUIRES_NETWORK_ID',
  'telWRONG_NETWORK'
])

function isStale(job: Job, newestLedger: number): boolean {
  return job.sentIn + ledgersBeforeResend <= newestLedger
}

/** Whether the last ledger of each of its versions has passed. */
function isOver(job: Job, lastLedger: number): boolean {
  return (
    job.versions.size > 0 && [...job.versions.values()].every(version => version.lastLedger <= lastLedger)
  )
}

interface SubmitAnswer {
  engine_result: string
  engine_result_message: string
}

interface FeeAnswer {
  drops: { base_fee: string; open_ledger_fee: string }
}

/** API version 2 puts the transaction into `tx_json`, version 1 leaves its fields beside the others. */
interface FoundTransaction extends Record<string, unknown> {
  tx_json?: Record<string, unknown>
  validated?: boolean
  meta: ValidatedTransaction['meta']
  ledger_index: number
}

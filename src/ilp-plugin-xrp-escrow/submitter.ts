import { UnreachableError } from './errors.ts'
import { Job, ledgersToLive, type Order, type Version } from './job.ts'
import type { Json } from './json.ts'
import type { Wallet } from './keys.ts'
import type { ClosedLedger } from './known-ledgers.ts'
import type { LedgerConnection } from './ledger-connection.ts'
import type { ValidatedTransaction } from './ledger-transaction.ts'
import { LiveJobs } from './live-jobs.ts'
import { NetworkFees } from './network-fees.ts'
import { transactionFailed } from './refusals.ts'
import { errorCode } from './server-socket.ts'
import { type SignedTransaction, signer } from './sign.ts'

// How often a transaction that can certainly not be applied any more is signed anew before its sender is told.
const maxAttempts = 10
// How many ledgers to wait for a place in them at a fee that the options allow.
const maxBusyLedgers = 20
// How many submissions may wait for their preliminary answers: a long way must not make a slow sender.
const maxUnanswered = 64

/**
 * Sends the transactions of one account, each until it is final: validated as a success, validated as a failure, or
 * certain never to be validated. That is certain when its last ledger has passed and the account has not used its
 * sequence, or when another transaction has used it; whatever a server says to a submission is no proof, except that
 * it could make nothing of it.
 *
 * @see xrpl.org, "Reliable Transaction Submission"
 */
export class Submitter {
  readonly fees: NetworkFees
  readonly #connection: LedgerConnection
  readonly #address: string
  readonly #sign: (tx: Record<string, unknown>) => SignedTransaction

  // To be signed, in the order in which they were asked for.
  #queue: Job[] = []
  readonly #live: LiveJobs

  // Nothing is sent before this ledger is validated.
  #pausedUntil = 0
  #unanswered = 0
  #pumping = false
  #reviewing = false

  constructor(connection: LedgerConnection, wallet: Wallet, maxFeeDrops: number) {
    this.fees = new NetworkFees(connection, maxFeeDrops)
    this.#connection = connection
    this.#address = wallet.address
    this.#sign = signer(wallet)
    this.#live = new LiveJobs(connection, wallet.address)
  }

  /**
   * Sends a transaction; it does not wait for those sent before to be validated.
   *
   * @returns the transaction as it was validated
   * @throws an error of the interface, see `transactionFailed`, when it is certain that it had no effect
   * @throws UnreachableError when nobody can tell any more
   */
  submit(order: Order): Promise<ValidatedTransaction> {
    return new Promise((resolve, reject) => {
      this.#queue.push(new Job(order, resolve, reject))
      this.#pump()
    })
  }

  /**
   * Goes on with a transaction that an earlier run of the program may have sent.
   *
   * @param versions - all that may still be applied, at least one
   */
  resume(order: Order, versions: Version[]): Promise<ValidatedTransaction> {
    return new Promise((resolve, reject) => {
      const job = new Job(order, resolve, reject)
      job.sequence = versions[0]?.sequence ?? 0
      job.sends = 1
      job.isDisputed = true
      for (const version of versions) job.versions.set(version.hash, version)
      this.#live.add(job)
      this.#live.markLost([job])
      this.#pump()
    })
  }

  /** The connection is there again: whatever was on its way may be lost, or may have arrived. */
  onUp(): void {
    this.#live.doubtSequence()
    this.#pausedUntil = 0
    this.#live.markLost(this.#live.all())
    this.#pump()
  }

  /** A transaction was validated, of this account or another, sent from here or elsewhere. */
  onTransaction(transaction: ValidatedTransaction): void {
    const { account, sequence, hash } = transaction
    if (account !== this.#address || sequence === 0) return
    this.#live.useSequence(sequence)
    for (const job of this.#live.ofSequence(sequence)) {
      if (job.versions.has(hash)) this.#settle(job, transaction)
      // Another took the sequence: ours can never be applied with it.
      else this.#tryAnew(job)
    }
    this.#pump()
  }

  /** A ledger was validated. */
  onLedger({ index }: ClosedLedger): void {
    this.fees.onLedger()
    this.#live.markStale(index)
    this.#pump()
  }

  /** Nobody told what was in the ledgers up to this one. */
  onMissed(lastLedger: number): void {
    this.#live.onMissed(lastLedger)
  }

  /** Everything up to a ledger is known: what had to be in one by then and is not, never will be. */
  async onRead({ index }: ClosedLedger): Promise<void> {
    if (this.#reviewing) return
    this.#reviewing = true
    try {
      for await (const [job, fate] of this.#live.fates(index)) {
        if (fate === 'dead') this.#tryAnew(job)
        else if (fate === 'unknown') {
          const err = new UnreachableError(`${job.order.what}: ${nobodyTells}`)
          this.#end(job, Object.assign(err, { code: 'HISTORY_GAP' }))
        } else this.#settle(job, fate)
      }
    } catch {
      // The next ledger is as good.
    } finally {
      this.#reviewing = false
    }
    this.#pump()
  }

  /**
   * Gives up what has not been sent, and signs nothing anew. What has been sent is followed until it is final.
   *
   * @param reason - what those whose transactions are given up are told
   */
  giveUpUnsent(reason: string): void {
    for (const job of this.#live.all()) job.attempts = maxAttempts
    const unsent = this.#queue
    this.#queue = []
    for (const job of unsent) this.#fail(job, 'notSent', reason)
  }

  /** Forgets everything: the ledger that it was for is gone. */
  giveUp(reason: Error): void {
    const all = [...this.#live.all(), ...this.#queue]
    for (const job of all) this.#live.delete(job)
    this.#queue = []
    this.#live.onReset()
    for (const job of all) job.reject(reason)
  }

  get #mayGoOn(): boolean {
    const { isUp, validated } = this.#connection
    const mayAsk = this.#unanswered < maxUnanswered && !this.fees.isRaising
    return isUp && mayAsk && validated.index >= this.#pausedUntil
  }

  /** Sends what there is to send, until it has to wait for an answer or for the next ledger. */
  async #pump(): Promise<void> {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (this.#mayGoOn) {
        const lost = this.#live.takeLost()
        const next = this.#queue[0]
        if (lost) this.#resend(lost)
        else if (next) await this.#send(next)
        else break
      }
    } finally {
      this.#pumping = false
    }
  }

  /** Sends again what is not final, as it is. */
  #resend(job: Job): void {
    const version = [...job.versions.values()].at(-1)
    job.sentIn = this.#connection.validated.index
    if (version && version.lastLedger > job.sentIn) this.#ask(job, version)
  }

  /** Signs and sends the first transaction of the queue. */
  async #send(job: Job): Promise<void> {
    if (this.#dropPointless(job)) return
    const { index } = this.#connection.validated
    const fee = this.fees.drops(job.order.feeUnits)
    const tooDear = this.fees.tooDear('The network asks for a fee of', fee)
    if (tooDear) {
      job.busySince ||= index
      if (index - job.busySince < maxBusyLedgers) this.#pausedUntil = index + 1
      else this.#fail(job, 'telINSUF_FEE_P', tooDear)
      return
    }
    let sequence: number
    try {
      sequence = await this.#live.nextSequence()
    } catch {
      this.#pausedUntil = index + 1
      return
    }
    if (this.#queue[0] !== job || !this.#mayGoOn || this.#dropPointless(job)) return
    this.#queue.shift()
    await this.#sendVersion(job, sequence, fee)
  }

  /** Takes a transaction out of the queue that nobody needs any more. */
  #dropPointless(job: Job): boolean {
    if (!this.#isPointless(job)) return false
    this.#fail(job, 'expired', 'its time was over before it could be sent')
    return true
  }

  #isPointless({ order }: Job): boolean {
    const { pointlessAfter = Number.POSITIVE_INFINITY, isDone } = order
    return pointlessAfter <= this.#connection.validated.closeTime || isDone?.() === true
  }

  /** Signs another version of a transaction, and sends it once that has been noted. */
  async #sendVersion(job: Job, sequence: number, fee: number): Promise<void> {
    let hash = ''
    try {
      const version = this.#signVersion(job, sequence, fee)
      hash = version.hash
      if (job.order.note) await job.order.note([...job.versions.values()])
      if (job.versions.has(hash)) this.#ask(job, version)
    } catch (err) {
      job.versions.delete(hash)
      if (job.versions.size > 0) this.#sendLater(job)
      else this.#fail(job, 'notSent', `it could not be signed or noted (${(err as Error).message})`)
    }
  }

  #signVersion(job: Job, sequence: number, fee: number): Version {
    const { validated, networkId } = this.#connection
    const lastLedger = validated.index + ledgersToLive
    const { blob, hash } = this.#sign({
      ...job.order.tx,
      Account: this.#address,
      Sequence: sequence,
      Fee: String(fee),
      LastLedgerSequence: lastLedger,
      ...(networkId === undefined ? {} : { NetworkID: networkId })
    })
    const version = { hash, blob, sequence, lastLedger }
    job.feeFactor = this.fees.factor
    job.sentIn = validated.index
    if (job.versions.size === 0) {
      job.sequence = sequence
      job.firstSentIn = validated.index
      this.#live.add(job)
    }
    job.versions.set(hash, version)
    return version
  }

  /** Submits a version. */
  async #ask(job: Job, { hash, blob }: Version): Promise<void> {
    this.#unanswered++
    job.sends++
    try {
      const answer = await this.#connection.request({ command: 'submit', tx_blob: blob })
      // It may have been validated, or displaced, before its preliminary answer came.
      if (job.versions.has(hash)) this.#onAnswer(job, hash, answer)
    } catch (err) {
      const code = errorCode(err) ?? ''
      const isUnreadable = unreadable.has(code) && job.sends === 1
      if (isUnreadable && job.versions.has(hash)) this.#fail(job, code, (err as Error).message)
      else this.#sendLater(job)
    } finally {
      this.#unanswered--
      this.#pump()
    }
  }

  /** Acts on a preliminary result. A server keeps what it refuses, and may apply it to a later ledger. */
  #onAnswer(job: Job, hash: string, { engine_result, engine_result_message }: Json): void {
    if (typeof engine_result !== 'string') {
      this.#sendLater(job)
      return
    }
    job.engineResult = engine_result
    job.engineMessage = String(engine_result_message)
    if (engine_result === 'tefPAST_SEQ') {
      this.#live.doubtSequence()
      job.isDisputed = true
    } else if (engine_result === 'terPRE_SEQ') {
      // An earlier one is missing: one of ours that got lost, or a sequence that was never used after all.
      this.#live.doubtSequence()
      this.#live.markEarlier(job, this.#connection.validated.index)
    } else if (engine_result === 'telINSUF_FEE_P' || engine_result === 'telCAN_NOT_QUEUE_FEE') {
      this.#payMore(job, hash)
    } else if (isJudgement(engine_result) && job.sends === 1) {
      this.#fail(job, engine_result, job.engineMessage)
    } else if (engine_result.startsWith('tel')) {
      this.#sendLater(job)
    }
  }

  /** Nothing more is sent before the next ledger, and then this is sent again. */
  #sendLater(job: Job): void {
    this.#pausedUntil = this.#connection.validated.index + 1
    if (job.versions.size > 0) this.#live.markLost([job])
  }

  /** Signs anew at what the network asks for just now; if that is too much, it may ask for less a ledger later. */
  async #payMore(job: Job, hash: string): Promise<void> {
    await this.fees.raiseAbove(job.feeFactor)
    if (!job.versions.has(hash)) return
    const fee = this.fees.drops(job.order.feeUnits)
    const tooDear = this.fees.tooDear('The network asks for a fee of', fee)
    if (tooDear) job.engineMessage = tooDear
    if (tooDear || this.#isPointless(job) || this.fees.factor <= job.feeFactor) this.#sendLater(job)
    else await this.#sendVersion(job, job.sequence, fee)
    this.#pump()
  }

  #settle(job: Job, transaction: ValidatedTransaction): void {
    const { result, ledgerIndex, fee } = transaction
    this.#live.delete(job)
    if (result === 'tesSUCCESS') job.resolve(transaction)
    else
      job.reject(transactionFailed(job.order.what, result, `Ledger ${ledgerIndex} has it as a failure`, fee))
  }

  #fail(job: Job, engineResult: string, message: string): void {
    const queued = this.#queue.indexOf(job)
    if (queued >= 0) this.#queue.splice(queued, 1)
    // The next one can have its sequence.
    if (job.versions.size > 0) this.#live.doubtSequence()
    this.#end(job, transactionFailed(job.order.what, engineResult, message))
  }

  #end(job: Job, reason: Error): void {
    this.#live.delete(job)
    job.reject(reason)
  }

  /** Puts a transaction, of which no version can be applied any more, back into the queue, if there is a point in it. */
  #tryAnew(job: Job): void {
    job.attempts++
    this.#live.doubtSequence()
    this.#live.delete(job)
    const { engineResult, engineMessage } = job
    // No other ledger will make these good.
    const isRefused = /^(tel|terINSUF_FEE_B|terNO_ACCOUNT)/.test(engineResult)
    const isHopeless = job.attempts >= maxAttempts || isRefused
    if (!this.#isPointless(job) && !isHopeless) this.#queue.unshift(job)
    else if (/^te[lr]/.test(engineResult) && isHopeless) this.#fail(job, engineResult, engineMessage)
    else this.#fail(job, 'tefMAX_LEDGER', 'It was in none of the ledgers that it could have been in')
  }
}

const nobodyTells = 'the server does not have the ledgers that tell whether it was carried out'

// What proves that a server could make nothing of a submission (xrpl.org: submit).
const unreadable = new Set(['invalidParams', 'invalidTransaction'])

// Results that judge the transaction itself: malformed, signed by the wrong key, or meant for another network. A
// server neither applies nor keeps nor passes on what it finds so, and of a first submission no other server knows.
function isJudgement(engineResult: string): boolean {
  return /^(tem|tefBAD_|tefMASTER_DISABLED|telWRONG_NETWORK|tel.*NETWORK_ID)/.test(engineResult)
}

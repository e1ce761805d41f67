import { AccountSequence } from './account-sequence.ts'
import { UnreachableError } from './errors.ts'
import { fateOf, isOver, lookUp } from './fate.ts'
import { type Job, ledgersToLive, type Order, TransactionFailedError, toJob, type Version } from './job.ts'
import type { Json } from './json.ts'
import type { Wallet } from './keys.ts'
import type { ClosedLedger } from './known-ledgers.ts'
import type { LedgerConnection } from './ledger-connection.ts'
import type { ValidatedTransaction } from './ledger-transaction.ts'
import { LiveJobs } from './live-jobs.ts'
import { NetworkFees } from './network-fees.ts'
import { errorCode } from './server-socket.ts'
import { type SignedTransaction, signer } from './sign.ts'

// How often a transaction that can certainly not be applied any more is signed anew before its sender is told.
const maxAttempts = 10
// How many ledgers to wait for a place in them at a fee that the options allow.
const maxBusyLedgers = 20
// How many submissions may wait for their preliminary answers: a long way must not make a slow sender.
const maxUnanswered = 16

/**
 * Sends the transactions of one account, each until it is final: validated as a success, validated as a failure, or
 * certain never to be validated. That is certain when its last ledger has passed and the account has not used its
 * sequence, or when another transaction has used it; whatever a server says to a submission is no proof, except that
 * it could make nothing of it.
 *
 * @see xrpl.org, "Reliable Transaction Submission"
 */
export class Submitter {
  readonly #connection: LedgerConnection
  readonly #address: string
  readonly #prefix: string
  readonly #sign: (tx: Record<string, unknown>) => SignedTransaction
  readonly #maxFeeDrops: number

  // To be sent, in the order in which they were asked for; those that have a sequence are in front.
  #queue: Job[] = []
  readonly #live = new LiveJobs()
  readonly #sequence: AccountSequence
  readonly #fees: NetworkFees

  // The newest ledger of which it is not known what was in it.
  #lastMissed = 0
  // Nothing is sent before this ledger is validated.
  #pausedUntil = 0
  #unanswered = 0
  #pumping = false
  #reviewing = false

  constructor(connection: LedgerConnection, wallet: Wallet, maxFeeDrops: number, prefix: string) {
    this.#connection = connection
    this.#address = wallet.address
    this.#prefix = prefix
    this.#sign = signer(wallet)
    this.#maxFeeDrops = maxFeeDrops
    this.#sequence = new AccountSequence(connection, wallet.address)
    this.#fees = new NetworkFees(connection)
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
      this.#queue.push(toJob(order, resolve, reject))
      this.#pump()
    })
  }

  /**
   * Goes on with a transaction that an earlier run of the program may have sent.
   *
   * @param versions - all that may still be applied
   */
  resume(order: Order, versions: Version[]): Promise<ValidatedTransaction> {
    return new Promise((resolve, reject) => {
      const job = toJob(order, resolve, reject)
      job.sequence = versions[0]?.sequence ?? 0
      job.sends = 1
      // It may be in a ledger from before.
      job.isDisputed = true
      for (const version of versions) job.versions.set(version.hash, version)
      this.#live.add(job)
      this.#pump()
    })
  }

  /** The connection is there again: whatever was on its way may be lost, or may have arrived. */
  onUp(): void {
    this.#sequence.doubt()
    this.#pausedUntil = 0
    this.#live.markAllLost()
    this.#pump()
  }

  /** A transaction was validated, of this account or another, sent from here or elsewhere. */
  onTransaction(transaction: ValidatedTransaction): void {
    const { account, sequence, hash } = transaction
    if (account !== this.#address || sequence === 0) return
    this.#sequence.use(sequence)
    for (const job of this.#live.ofSequence(sequence)) {
      if (job.versions.has(hash)) this.#settle(job, transaction)
      // Another took the sequence: ours can never be applied with it.
      else this.#tryAnew(job)
    }
    this.#pump()
  }

  /** A ledger was validated. */
  onLedger(): void {
    this.#fees.onLedger()
    this.#live.onLedger()
    this.#pump()
  }

  /** Nobody told what was in these ledgers. */
  onMissed(_firstLedger: number, lastLedger: number): void {
    this.#lastMissed = lastLedger
    this.#sequence.doubt()
  }

  /** Everything up to a ledger is known: what had to be in one by then and is not, never will be. */
  async onRead({ index }: ClosedLedger): Promise<void> {
    const inDoubt = this.#live.all().filter(job => job.isDisputed || isOver(job, index))
    if (this.#reviewing || inDoubt.length === 0) return
    // The first shall be the first again.
    inDoubt.sort((a, b) => b.sequence - a.sequence)
    this.#reviewing = true
    try {
      const free = await this.#sequence.freeAsOf(index)
      for (const job of inDoubt) await this.#review(job, free, index)
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
    const unsent = this.#queue.filter(job => job.versions.size === 0)
    this.#queue = []
    for (const job of unsent) job.reject(new TransactionFailedError('notSent', reason))
  }

  /** Forgets everything: the ledger that it was for is gone. */
  giveUp(reason: Error): void {
    const all = new Set([...this.#live.all(), ...this.#queue])
    this.#live.clear()
    this.#sequence.reset()
    this.#queue = []
    this.#lastMissed = 0
    for (const job of all) {
      job.versions.clear()
      job.reject(reason)
    }
  }

  get #mayGoOn(): boolean {
    const { isUp, validated } = this.#connection
    const mayAsk = this.#unanswered < maxUnanswered && !this.#fees.isRaising
    return isUp && mayAsk && validated.index >= this.#pausedUntil
  }

  /** Sends what there is to send, until it has to wait for an answer or for the next ledger. */
  async #pump(): Promise<void> {
    if (this.#pumping) return
    this.#pumping = true
    try {
      while (this.#mayGoOn) {
        const lost = this.#live.firstStale(this.#connection.validated.index)
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

  /** Takes a transaction out of the queue that nobody needs any more. */
  #dropPointless(job: Job): boolean {
    if (job.pointlessAfter > this.#connection.validated.closeTime && !job.isDone?.()) return false
    this.#queue.shift()
    if (job.versions.size === 0) this.#fail(job, 'expired', 'its time was over before it could be sent')
    return true
  }

  /** Signs and sends the first transaction of the queue. */
  async #send(job: Job): Promise<void> {
    const { validated } = this.#connection
    if (this.#dropPointless(job)) return
    const fee = this.#fees.drops(job.feeUnits)
    if (fee > this.#maxFeeDrops) {
      this.#waitForPlace(job, fee)
      return
    }
    try {
      const sequence = job.sequence || (await this.#sequence.next(taken => this.#live.isTaken(taken)))
      if (this.#queue[0] !== job || !this.#mayGoOn || this.#dropPointless(job)) return
      this.#queue.shift()
      const version = this.#signVersion(job, sequence, fee)
      await job.note?.([...job.versions.values()])
      if (job.versions.has(version.hash)) this.#ask(job, version)
    } catch (err) {
      if (this.#queue.includes(job)) this.#pausedUntil = validated.index + 1
      else this.#fail(job, 'notSent', `it could not be signed or noted (${(err as Error).message})`)
    }
  }

  #signVersion(job: Job, sequence: number, fee: number): Version {
    const { validated, networkId } = this.#connection
    const lastLedger = validated.index + ledgersToLive
    const { blob, hash } = this.#sign({
      ...job.tx,
      Account: this.#address,
      Sequence: sequence,
      Fee: String(fee),
      LastLedgerSequence: lastLedger,
      ...(networkId === undefined ? {} : { NetworkID: networkId })
    })
    const version = { hash, blob, sequence, lastLedger }
    job.sequence = sequence
    job.feeFactor = this.#fees.factor
    if (job.versions.size === 0) job.firstSentIn = validated.index
    job.versions.set(hash, version)
    job.sentIn = validated.index
    this.#live.add(job)
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
      this.#sequence.doubt()
      job.isDisputed = true
    } else if (engine_result === 'terPRE_SEQ') {
      // An earlier one is missing: one of ours that got lost, or a sequence that was never used after all.
      this.#sequence.doubt()
      this.#live.markEarlierLost(job, this.#connection.validated.index)
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
    if (job.versions.size > 0) this.#live.markLost(job)
  }

  /** Keeps a transaction at the head of the queue until the next ledger, for a limited number of them. */
  #waitForPlace(job: Job, fee: number): void {
    const { index } = this.#connection.validated
    const result = 'telINSUF_FEE_P'
    const message = `The network asks for a fee of ${fee} drops, more than maxFeeDrops allows (${this.#maxFeeDrops})`
    job.busySince ||= index
    if (job.versions.size > 0) {
      // A version of it is out at a lower fee: it may get its place when the network is less busy.
      this.#queue.shift()
      this.#sendLater(job)
    } else if (index - job.busySince < maxBusyLedgers) this.#pausedUntil = index + 1
    else this.#fail(job, result, message)
    job.engineResult = result
    job.engineMessage = message
  }

  /** Signs anew at what the server asks for just now, with a little on top since others do the same. */
  async #payMore(job: Job, hash: string): Promise<void> {
    await this.#fees.raiseAbove(job.feeFactor)
    if (!job.versions.has(hash) || this.#queue.includes(job)) return
    this.#queue.push(job)
    this.#queue.sort((a, b) => (a.sequence || Number.MAX_VALUE) - (b.sequence || Number.MAX_VALUE))
    this.#pump()
  }

  async #review(job: Job, free: number, lastLedger: number): Promise<void> {
    const fate = await fateOf(job, {
      ...{ lastLedger, free, lastMissed: this.#lastMissed },
      lookUp: hash => lookUp(request => this.#connection.request(request), hash, this.#prefix),
      search: range => this.#connection.search(range)
    })
    // It may have become known in another way meanwhile.
    if (job.versions.size === 0) return
    if (fate === 'dead') this.#tryAnew(job)
    else if (fate === 'unknown') {
      this.#forget(job)
      const what = `the ledgers up to ${lastLedger}, so it cannot tell whether it was carried out`
      job.reject(new UnreachableError(`The server does not have ${what}`))
    } else if (fate !== 'open') this.#settle(job, fate)
    else if (free <= job.sequence) job.isDisputed = false
  }

  #settle(job: Job, transaction: ValidatedTransaction): void {
    this.#forget(job)
    const { result, ledgerIndex } = transaction
    if (result === 'tesSUCCESS') job.resolve(transaction)
    else job.reject(new TransactionFailedError(result, `Ledger ${ledgerIndex} has it as a failure`))
  }

  #fail(job: Job, engineResult: string, message: string): void {
    // Its sequence, if it had one, is the next one's.
    this.#sequence.release(job.sequence)
    this.#forget(job)
    job.reject(new TransactionFailedError(engineResult, message))
  }

  /** Puts a transaction, of which no version can be applied any more, back into the queue, if there is a point in it. */
  #tryAnew(job: Job): void {
    job.attempts++
    this.#forget(job)
    this.#sequence.doubt()
    const { engineResult, engineMessage } = job
    const isPointless = this.#connection.validated.closeTime >= job.pointlessAfter
    // No other ledger will make these good.
    const isRefused = /^(tel|terINSUF_FEE_B|terNO_ACCOUNT)/.test(engineResult)
    const isHopeless = job.attempts >= maxAttempts || isRefused
    if (!isPointless && !isHopeless) this.#queue.unshift(job)
    else if (/^te[lr]/.test(engineResult) && isHopeless)
      job.reject(new TransactionFailedError(engineResult, engineMessage))
    else {
      const why = 'It was in none of the ledgers that it could have been in'
      job.reject(new TransactionFailedError('tefMAX_LEDGER', why))
    }
  }

  /** Takes a transaction out of everything; none of its versions matters any more. */
  #forget(job: Job): void {
    this.#live.delete(job)
    job.sequence = 0
    job.sends = 0
    job.busySince = 0
    job.isDisputed = false
    job.versions.clear()
    const queued = this.#queue.indexOf(job)
    if (queued >= 0) this.#queue.splice(queued, 1)
  }
}

// What proves that a server could make nothing of a submission (xrpl.org: submit).
const unreadable = new Set(['invalidParams', 'invalidTransaction'])

// Results that judge the transaction itself: no server applies or keeps one that it finds malformed, signed by the
// wrong key, or meant for another network.
function isJudgement(engineResult: string): boolean {
  return /^(tem|tefBAD_|tefMASTER_DISABLED|telWRONG_NETWORK|tel.*NETWORK_ID)/.test(engineResult)
}

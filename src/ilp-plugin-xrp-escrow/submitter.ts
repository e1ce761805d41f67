import type { AccountFollower, ClosedLedger, Gap } from './account-follower.ts'
import {
  type ErrorCode,
  errorCodeOf,
  NotAcceptedError,
  requestFailed,
  shorten,
  transactionFailed
} from './errors.ts'
import type { Json } from './json.ts'
import type { Settings } from './options.ts'
import { feeUnitsOf, fulfillmentFeeUnits } from './transactions.ts'
import type { ValidatedTransaction } from './validated-transaction.ts'
import type { SignedTransaction } from './wallet.ts'

// A signed transaction may be validated in this many ledgers after the newest one, and never later.
const ledgersToLive = 5
// A transaction fails after so many ledgers without a place for it or for any other of the account.
const maxBusyLedgers = 20
// A fulfillment with fewer ledgers left than this pays up to `maxFeeDrops`.
const urgentLedgers = 20
// Everything else pays at most so many times the fee at rest: there is time to wait for a quieter ledger.
const maxFeeFactor = 2
// On top of what a busy network asks for, since others pay that too.
const feeMarginPercent = 10
// How many submissions may wait for their preliminary results, so that a slow connection does not slow down sending.
const maxUnanswered = 64
// A submission without an answer is repeated after so many ledgers.
const ledgersBeforeRepeat = 2

// Preliminary results of an attempt that has arrived, or has been overtaken: it need not be sent again.
const accepted = /^(tes|tec|terQUEUED|tefALREADY|tefPAST_SEQ)/
// No other ledger will change these. They are no proof either: servers keep and retry what they refuse so.
const permanent =
  /^(tem|tel(?!CAN_NOT_QUEUE|INSUF_FEE_P)|tefBAD_|tefMASTER_DISABLED|terINSUF_FEE_B|terNO_ACCOUNT)/

/** A transaction to be submitted. */
export interface SubmitRequest {
  /** without Account, Sequence, Fee, LastLedgerSequence and signature */
  tx: Json
  /** names it in errors */
  what: string
  /** the id of the transfer that it is for */
  transferId?: string
  /** ledger time from which on it is not sent any more */
  notAfter?: number
  /** whether it has become pointless */
  isDone?(): boolean
}

/** A transaction that is not final yet. */
export interface PendingTransaction {
  request: SubmitRequest
  resolve(): void
  reject(reason: Error): void
  /** undefined while it waits to be signed */
  attempt?: Attempt
  /** in how many ledgers there was no place for it, one after the other */
  busyLedgers: number
  /** whether it is not to be signed anew, because the host has disconnected */
  isAbandoned: boolean
}

/** A transaction as it was signed. */
interface Attempt extends SignedTransaction {
  sequence: number
  /** the newest validated ledger when it was signed, and when it was sent last */
  signedIn: number
  sentIn: number
  lastLedger: number
  sends: number
  /** the last preliminary result, or the error in its place */
  result: string | undefined
  message: string | undefined
}

/**
 * Sends the transactions of the account, each until it is final: validated, or certain never to be. There is one signed
 * attempt for each sequence at a time. It is dead, and its transaction signed anew, when a ledger after its last one
 * shows that its sequence was not used, or another transaction has used it: preliminary results prove nothing.
 *
 * @see xrpl.org: Reliable Transaction Submission
 */
export class Submitter {
  readonly #follower: AccountFollower
  readonly #settings: Settings

  // The first is signed next.
  #waiting: PendingTransaction[] = []
  readonly #inFlight = new Map<number, PendingTransaction>()
  // Of those in flight: what is sent again next.
  #repeats: PendingTransaction[] = []
  // Transactions whose outcome the server cannot know.
  #unknown: PendingTransaction[] = []

  // The account's next sequence; undefined: ask the server.
  #nextSequence: number | undefined
  // The newest ledger that could not be read.
  #lastUnreadLedger = 0
  // Whether the ledgers had room for the account since the last review: undefined if nothing has shown it.
  #hadRoom: boolean | undefined
  #unanswered = 0
  #isPumping = false
  #needsPump = false
  #isReviewing = false

  constructor(follower: AccountFollower, settings: Settings) {
    this.#follower = follower
    this.#settings = settings
  }

  /**
   * Sends a transaction.
   *
   * @returns when it is validated
   * @throws an error of the interface, see `transactionFailed`, when it is certain that it had no effect
   * @throws UnreachableError when its outcome cannot be known
   */
  submit(request: SubmitRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      const pending = { request, resolve, reject, busyLedgers: 0, isAbandoned: false }
      this.#waiting.push(pending)
      this.#pump()
    })
  }

  /**
   * What a fulfillment costs now, in drops. The server is asked once for each ledger.
   *
   * @throws NotAcceptedError if that is more than `maxFeeDrops`
   */
  async fulfillmentFee(): Promise<number> {
    const factor = await this.#follower.feeFactor().catch(err => {
      throw requestFailed('The fee is unknown', err)
    })
    const drops = Math.ceil(this.#follower.baseFee * fulfillmentFeeUnits * factor)
    const { maxFeeDrops } = this.#settings
    if (drops <= maxFeeDrops) return drops
    const why = `A fulfillment costs ${drops} drops now, more than maxFeeDrops allows (${maxFeeDrops})`
    throw new NotAcceptedError(why, { code: 'NETWORK_BUSY' })
  }

  /** The connection is back: everything in flight may have been lost, or have arrived. */
  onConnect(): void {
    this.#nextSequence = undefined
    for (const { attempt } of this.#inFlight.values()) if (attempt) Object.assign(attempt, unsent)
    this.#pump()
  }

  /** A transaction was validated, of this account or another, sent from here or elsewhere. */
  onTransaction(transaction: ValidatedTransaction): void {
    const { account, sequence, hash, result, ledgerIndex, fee } = transaction
    if (account !== this.#settings.wallet.address || sequence === 0) return
    const pending = this.#inFlight.get(sequence)
    if (pending) this.#remove(pending)
    if (pending?.attempt?.hash === hash) {
      this.#hadRoom = true
      const message = `Ledger ${ledgerIndex} has it as a failure`
      if (result === 'tesSUCCESS') pending.resolve()
      else pending.reject(transactionFailed(pending.request.what, result, message, { fee }))
    } else {
      // Another program of the account has used the sequence.
      this.#nextSequence = undefined
      if (pending) this.#signAnew(pending)
    }
    this.#pump()
  }

  /** Some ledgers cannot be read, or the ledger is another one. */
  onGap({ code, lastLedger }: Gap): void {
    this.#nextSequence = undefined
    this.#lastUnreadLedger = lastLedger
    if (code !== 'LEDGER_RESET') return
    this.#unknown = [...this.#unknown, ...this.#inFlight.values(), ...this.#waiting]
    this.#inFlight.clear()
    this.#waiting = []
  }

  /**
   * Everything up to a ledger was read: settles what that proves, and repeats what has not arrived.
   *
   * @returns whether all that can be settled as of that ledger is
   */
  async review(ledger: ClosedLedger): Promise<boolean> {
    this.#repeats = this.#findRepeats()
    // Before our own transactions fill the next ledger.
    if (this.#waiting.length > 0) this.#follower.feeFactor().catch(() => {})
    this.#pump()
    if (this.#isReviewing) return false
    this.#isReviewing = true
    // If the server does not say what it is asked, the next ledger is another chance.
    const isSettled = await this.#settle(ledger.index).catch(() => false)
    this.#isReviewing = false
    this.#rejectWaiting()
    this.#pump()
    return isSettled
  }

  /** Takes over the transactions whose outcome the server cannot know: the caller settles them. */
  takeUnknown(): PendingTransaction[] {
    return this.#unknown.splice(0)
  }

  /** Rejects what was not sent, and signs nothing anew. What was sent is followed until it is final. */
  stop(reason: string): void {
    for (const pending of this.#inFlight.values()) pending.isAbandoned = true
    for (const pending of this.#waiting.splice(0)) this.#reject(pending, 'notSent', reason, 'DISCONNECTED')
  }

  /** Sends what there is to send, until it has to wait for an answer or for the next ledger. */
  async #pump(): Promise<void> {
    this.#needsPump = true
    if (this.#isPumping) return
    this.#isPumping = true
    while (this.#needsPump && this.#follower.isConnected && this.#unanswered < maxUnanswered) {
      this.#needsPump = false
      const repeat = this.#repeats.shift()
      if (repeat && this.#isInFlight(repeat)) this.#send(repeat)
      // If the server does not say which sequence is next, the next ledger is another chance.
      const isProgress = repeat || (await this.#signNext().catch(() => false))
      if (isProgress) this.#needsPump = true
    }
    this.#isPumping = false
  }

  /** Signs and sends a transaction, if the next sequence may be used and one can be paid for. */
  async #signNext(): Promise<boolean> {
    if (this.#waiting.length === 0) return false
    const factor = await this.#follower.feeFactor().catch(() => 1)
    this.#nextSequence ??= await this.#follower.ask(server => server.accountSequence('current'))
    let sequence = this.#nextSequence
    while (this.#inFlight.has(sequence)) sequence++
    // Behind a refused attempt everything else would be refused as well.
    for (const [other, { attempt }] of this.#inFlight)
      if (other < sequence && isRefused(attempt?.result)) return false
    const at = this.#waiting.findIndex(({ request }) => this.#feeOf(request, factor) !== undefined)
    if (at < 0) this.#hadRoom ??= false
    if (at < 0 || !this.#follower.isConnected) return false
    const [pending] = this.#waiting.splice(at, 1) as [PendingTransaction]
    if (this.#isExpired(pending.request)) this.#reject(pending, 'expired', tooLate)
    else this.#sign(pending, sequence, this.#feeOf(pending.request, factor) as number)
    return true
  }

  #sign(pending: PendingTransaction, sequence: number, fee: number): void {
    const { validated, networkId } = this.#follower
    const { wallet } = this.#settings
    const lastLedger = validated.index + ledgersToLive
    let signed: SignedTransaction
    try {
      signed = wallet.sign({
        ...pending.request.tx,
        Account: wallet.address,
        Sequence: sequence,
        Fee: String(fee),
        LastLedgerSequence: lastLedger,
        ...(networkId !== undefined && { NetworkID: networkId })
      })
    } catch (err) {
      this.#reject(pending, 'notSent', `It could not be signed (${(err as Error).message})`)
      return
    }
    pending.attempt = { ...signed, ...unsent, sequence, signedIn: validated.index, lastLedger, sends: 0 }
    this.#inFlight.set(sequence, pending)
    this.#nextSequence = sequence + 1
    this.#send(pending)
  }

  async #send(pending: PendingTransaction): Promise<void> {
    const attempt = pending.attempt as Attempt
    attempt.sends++
    attempt.sentIn = this.#follower.validated.index
    this.#unanswered++
    try {
      const answer = await this.#follower.ask(server =>
        server.request({ command: 'submit', tx_blob: attempt.blob })
      )
      attempt.result = shorten(answer.engine_result)
      attempt.message = shorten(answer.engine_result_message)
    } catch (err) {
      attempt.result = errorCodeOf(err)
      attempt.message = (err as Error).message
    } finally {
      this.#unanswered--
    }
    // It may have been settled before its preliminary result came.
    if (pending.attempt === attempt && this.#isInFlight(pending)) this.#onResult(pending, attempt)
    this.#pump()
  }

  #onResult(pending: PendingTransaction, attempt: Attempt): void {
    const { result = '', message = '', sends } = attempt
    if (isRefused(attempt.result)) this.#hadRoom ??= false
    // The sequence may be wrong, or an earlier one be missing.
    if (result === 'tefPAST_SEQ' || result === 'terPRE_SEQ') this.#nextSequence = undefined
    // What no server can read or accept as well-formed is final, unless it was sent before.
    const isMalformed = result.startsWith('tem') || ['invalidParams', 'invalidTransaction'].includes(result)
    if (!isMalformed || sends > 1) return
    this.#nextSequence = undefined
    this.#remove(pending)
    this.#reject(pending, result, message)
  }

  /** Settles attempts that can be in no ledger any more, or may be in one that was not read. */
  async #settle(lastRead: number): Promise<boolean> {
    const doubtful = [...this.#inFlight.values()].filter(({ attempt }) => {
      const { lastLedger = 0, signedIn = 0, result } = attempt ?? {}
      return lastLedger <= lastRead || signedIn < this.#lastUnreadLedger || result === 'tefPAST_SEQ'
    })
    if (doubtful.length === 0) return true
    const nextSequence = await this.#follower.ask(server => server.accountSequence(lastRead))
    // The last first: each goes to the front of those that wait.
    for (const pending of doubtful.reverse()) {
      const { attempt } = pending
      if (!attempt || !this.#isInFlight(pending)) continue
      const isUsed = attempt.sequence < nextSequence
      if (isUsed && attempt.signedIn < this.#lastUnreadLedger) await this.#lookUp(pending, attempt)
      else if (isUsed || attempt.lastLedger <= lastRead) this.#onDead(pending)
    }
    return true
  }

  /** Looks for an attempt whose sequence was used in a ledger that was not read. */
  async #lookUp(pending: PendingTransaction, { hash }: Attempt): Promise<void> {
    const found = await this.#follower.ask(server => server.transaction(hash))
    if (found) this.#follower.emit('transaction', found)
    if (!this.#isInFlight(pending)) return
    this.#remove(pending)
    this.#unknown.push(pending)
  }

  /** An attempt can never be validated any more. */
  #onDead(pending: PendingTransaction): void {
    const { result = '', message = '' } = pending.attempt as Attempt
    this.#remove(pending)
    this.#nextSequence = undefined
    this.#hadRoom ??= false
    if (permanent.test(result)) this.#reject(pending, result, message)
    else this.#signAnew(pending)
  }

  #signAnew(pending: PendingTransaction): void {
    delete pending.attempt
    if (pending.isAbandoned)
      this.#reject(pending, 'notSent', 'The plugin was disconnected meanwhile', 'DISCONNECTED')
    else this.#waiting.unshift(pending)
  }

  #reject({ request, reject }: PendingTransaction, result: string, message: string, code?: ErrorCode): void {
    reject(transactionFailed(request.what, result, message, code && { code }))
  }

  /** Rejects what has expired, or has waited for a place in a ledger for too long. */
  #rejectWaiting(): void {
    for (const pending of [...this.#waiting, ...this.#inFlight.values()]) {
      if (this.#hadRoom) pending.busyLedgers = 0
      else if (this.#hadRoom === false) pending.busyLedgers++
    }
    this.#hadRoom = undefined
    this.#waiting = this.#waiting.filter(pending => {
      const { request, busyLedgers } = pending
      const isBusy = busyLedgers >= maxBusyLedgers && !isFulfillment(request)
      const isExpired = this.#isExpired(request)
      if (isExpired) this.#reject(pending, 'expired', tooLate)
      else if (isBusy) this.#reject(pending, 'telINSUF_FEE_P', tooBusy, 'NETWORK_BUSY')
      return !isExpired && !isBusy
    })
  }

  #isExpired({ notAfter = Number.POSITIVE_INFINITY, isDone }: SubmitRequest): boolean {
    return notAfter <= this.#follower.validated.closeTime || isDone?.() === true
  }

  #isInFlight(pending: PendingTransaction): boolean {
    return pending.attempt !== undefined && this.#inFlight.get(pending.attempt.sequence) === pending
  }

  #remove(pending: PendingTransaction): void {
    if (pending.attempt) this.#inFlight.delete(pending.attempt.sequence)
  }

  /** What has to be sent again as of the last ledger that was read, the lowest sequence first. */
  #findRepeats(): PendingTransaction[] {
    const { validated, lastRead } = this.#follower
    const isLost = ([, { attempt }]: [number, PendingTransaction]) => {
      const { lastLedger, sentIn, result } = attempt as Attempt
      const repeatIn = isRefused(result) ? sentIn + 1 : sentIn + ledgersBeforeRepeat
      return (!result || isRefused(result)) && repeatIn <= lastRead.index && lastLedger > validated.index
    }
    const lost = [...this.#inFlight].filter(isLost).sort(([a], [b]) => a - b)
    return lost.map(([, pending]) => pending)
  }

  /** The fee for a transaction, drops; undefined while it should wait for a quieter ledger. */
  #feeOf(request: SubmitRequest, factor: number): number | undefined {
    const { maxFeeDrops } = this.#settings
    const { baseFee, validated, ledgerSeconds } = this.#follower
    const { tx, notAfter = Number.POSITIVE_INFINITY } = request
    const atRest = baseFee * feeUnitsOf(tx)
    const ledgersLeft = (notAfter - validated.closeTime) / ledgerSeconds
    const isUrgent = isFulfillment(request) && ledgersLeft < urgentLedgers
    const max = isUrgent ? maxFeeDrops : Math.min(maxFeeDrops, maxFeeFactor * atRest)
    const asked = Math.ceil(atRest * factor)
    if (asked > max) return undefined
    if (factor === 1) return atRest
    // No transfer is prepared that nobody could afford to fulfill now.
    if (tx.TransactionType === 'EscrowCreate' && baseFee * fulfillmentFeeUnits * factor > maxFeeDrops)
      return undefined
    return Math.min(max, Math.ceil((asked * (100 + feeMarginPercent)) / 100))
  }
}

const tooBusy = `The network had no room for it in ${maxBusyLedgers} ledgers at a fee that the plugin pays`
const tooLate = 'It expired before it could be sent'
// What is known of an attempt that may have been lost.
const unsent = { sentIn: 0, result: undefined, message: undefined }

function isFulfillment({ tx }: SubmitRequest): boolean {
  return tx.TransactionType === 'EscrowFinish'
}

/** Whether a preliminary result says that an attempt has to be sent again, and that nothing can be applied after it. */
function isRefused(result: string | undefined): boolean {
  return result !== undefined && !accepted.test(result)
}

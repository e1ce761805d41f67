import { type Job, ledgersToLive } from './job.ts'
import type { LedgerConnection } from './ledger-connection.ts'
import type { ValidatedTransaction } from './ledger-transaction.ts'
import { errorCode } from './server-socket.ts'

// How many ledgers a server may take to tell what was in one.
const ledgersToTell = 5
// A transaction that is still open after this many ledgers may have been lost on its way: it is sent again.
const ledgersBeforeResend = 3

/** The transactions that have versions which could still be applied, and what becomes of them. */
export class LiveJobs {
  readonly #connection: LedgerConnection
  // More than one of a sequence if an earlier run of the program has sent another under it.
  readonly #bySequence = new Map<number, Job[]>()
  // Those that have to be sent again, by sequence.
  #lost: Job[] = []
  // The newest ledger of which nobody told what was in it.
  #lastMissed = 0

  constructor(connection: LedgerConnection) {
    this.#connection = connection
  }

  all(): Job[] {
    return [...this.#bySequence.values()].flat()
  }

  ofSequence(sequence: number): Job[] {
    return this.#bySequence.get(sequence) ?? []
  }

  isTaken(sequence: number): boolean {
    return this.#bySequence.has(sequence)
  }

  add(job: Job): void {
    this.#bySequence.set(job.sequence, [...this.ofSequence(job.sequence), job])
  }

  /** None of its versions matters any more. */
  delete(job: Job): void {
    const others = this.ofSequence(job.sequence).filter(other => other !== job)
    if (others.length > 0) this.#bySequence.set(job.sequence, others)
    else this.#bySequence.delete(job.sequence)
    if (this.#lost.length > 0) this.#lost = this.#lost.filter(other => other !== job)
    job.reset()
  }

  /** They are to be sent again. */
  markLost(jobs: Job[]): void {
    if (jobs.length === 0) return
    this.#lost = [...new Set([...this.#lost, ...jobs])].sort((a, b) => a.sequence - b.sequence)
  }

  markStale(newestLedger: number): void {
    this.markLost(this.all().filter(job => job.sentIn + ledgersBeforeResend <= newestLedger))
  }

  /** Those before a transaction are to be sent again, unless they have been since the newest ledger. */
  markEarlier({ sequence }: Job, newestLedger: number): void {
    this.markLost(this.all().filter(job => job.sequence < sequence && job.sentIn < newestLedger))
  }

  /** The first that is to be sent again. Of two that exclude each other one is enough. */
  takeLost(): Job | undefined {
    for (let job = this.#lost.shift(); job; job = this.#lost.shift())
      if (this.ofSequence(job.sequence)[0] === job) return job
    return undefined
  }

  onMissed(lastLedger: number): void {
    this.#lastMissed = lastLedger
  }

  onReset(): void {
    this.#lastMissed = 0
  }

  /** Those that had to be in a ledger up to this one, or may have been in one that nobody told of. */
  inDoubt(lastLedger: number): Job[] {
    return this.all().filter(job => job.isDisputed || job.isOver(lastLedger))
  }

  /**
   * What became of a transaction that no ledger is known to have. It is dead when its last ledger has passed and the
   * account has not used its sequence, or when another transaction has used it.
   *
   * @param lastLedger - up to which everything has been told
   * @param free - the lowest sequence that the account has not used by then
   * @returns the transaction if a server knows of it after all; 'unknown' if nobody will ever tell
   */
  async fateOf(
    job: Job,
    lastLedger: number,
    free: number
  ): Promise<ValidatedTransaction | 'dead' | 'open' | 'unknown'> {
    const isUsed = free > job.sequence
    if (!isUsed) return job.isOver(lastLedger) ? 'dead' : 'open'
    // Had it been ours that used the sequence, the ledgers would have told.
    if (job.firstSentIn > this.#lastMissed) return 'dead'
    // It was used in a ledger that nobody told of, or before this program ran.
    for (const hash of [...job.versions.keys()]) {
      const found = await this.#connection.lookUp(hash)
      if (found) return found
    }
    if (!job.isOver(lastLedger - ledgersToTell)) return 'open'
    return (await this.#isInNone(job)) ? 'dead' : 'unknown'
  }

  /** Whether the account's history is there for all ledgers that a transaction could be in, and does not have it. */
  async #isInNone({ versions }: Job): Promise<boolean> {
    const lastLedgers = [...versions.values()].map(version => version.lastLedger)
    const [first, last] = [Math.min(...lastLedgers) - ledgersToLive, Math.max(...lastLedgers)]
    try {
      for await (const page of this.#connection.history(first, last)) {
        if (page.first > first || page.last < last) return false
        if (page.transactions.some(({ hash }) => versions.has(hash))) return false
      }
      return true
    } catch (err) {
      if (errorCode(err) === undefined) throw err
      return false
    }
  }
}

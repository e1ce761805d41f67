import { type Job, ledgersToLive } from './job.ts'
import { isUInt32, toObject } from './json.ts'
import type { LedgerConnection } from './ledger-connection.ts'
import type { ValidatedTransaction } from './ledger-transaction.ts'
import { errorCode } from './server-socket.ts'

// How many ledgers a server may take to tell what was in one.
const ledgersToTell = 5
// A transaction that is still open after this many ledgers may have been lost on its way: it is sent again.
const ledgersBeforeResend = 3

/** What became of a transaction: it is known after all, it can never be applied any more, or nobody will ever tell. */
type Fate = ValidatedTransaction | 'dead' | 'unknown'

/**
 * The transactions that have versions which could still be applied, what becomes of them, and the sequences that they
 * leave.
 */
export class LiveJobs {
  readonly #connection: LedgerConnection
  readonly #address: string
  // More than one of a sequence if an earlier run of the program has sent another under it.
  readonly #bySequence = new Map<number, Job[]>()
  // Those that have to be sent again, by sequence.
  #lost: Job[] = []
  // No lower sequence is free, as far as is known; undefined: ask the server.
  #firstFree: number | undefined
  // The lowest that the ledgers which were read leave free.
  #lowestFree = 0
  // The newest ledger of which nobody told what was in it.
  #lastMissed = 0

  constructor(connection: LedgerConnection, address: string) {
    this.#connection = connection
    this.#address = address
  }

  all(): Job[] {
    return [...this.#bySequence.values()].flat()
  }

  ofSequence(sequence: number): Job[] {
    return this.#bySequence.get(sequence) ?? []
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

  /** The lowest sequence that neither a ledger nor a transaction on its way has taken. */
  async nextSequence(): Promise<number> {
    this.#firstFree ??= await this.#askSequence('current')
    let sequence = Math.max(this.#firstFree, this.#lowestFree)
    while (this.#bySequence.has(sequence)) sequence++
    this.#firstFree = sequence
    return sequence
  }

  /** A ledger has it. */
  useSequence(sequence: number): void {
    this.#lowestFree = Math.max(this.#lowestFree, sequence + 1)
  }

  /** What is known of the next sequence may be wrong: the server is asked again. */
  doubtSequence(): void {
    this.#firstFree = undefined
  }

  /** Nobody told what was in the ledgers up to this one. */
  onMissed(lastLedger: number): void {
    this.#lastMissed = lastLedger
    this.doubtSequence()
  }

  /** The ledger is another one. */
  onReset(): void {
    this.#lastMissed = 0
    this.#lowestFree = 0
    this.doubtSequence()
  }

  /**
   * What became of those that had to be in a ledger by now, or may have been in one that nobody told of: the last comes
   * first.
   *
   * @param lastLedger - up to which everything has been told
   * @throws Error if the server cannot be asked
   */
  async *fates(lastLedger: number): AsyncGenerator<[Job, Fate]> {
    const inDoubt = this.all().filter(job => job.isDisputed || job.isOver(lastLedger))
    if (inDoubt.length === 0) return
    const free = await this.#askSequence(lastLedger)
    this.useSequence(free - 1)
    for (const job of inDoubt.sort((a, b) => b.sequence - a.sequence)) {
      const fate = await this.#fateOf(job, lastLedger, free)
      // It may have become known in another way meanwhile.
      if (fate && job.versions.size > 0) yield [job, fate]
      else if (free <= job.sequence) job.isDisputed = false
    }
  }

  /**
   * A transaction that no ledger is known to have is dead when its last ledger has passed and the account has not used
   * its sequence, or when another transaction has used it.
   *
   * @param free - the lowest sequence that the account has not used as of that ledger
   * @returns undefined if that is open
   */
  async #fateOf(job: Job, lastLedger: number, free: number): Promise<Fate | undefined> {
    const isUsed = free > job.sequence
    if (!isUsed) return job.isOver(lastLedger) ? 'dead' : undefined
    // Had it been ours that used the sequence, the ledgers would have told.
    if (job.firstSentIn > this.#lastMissed) return 'dead'
    // It was used in a ledger that nobody told of, or before this program ran.
    for (const hash of [...job.versions.keys()]) {
      const found = await this.#connection.lookUp(hash)
      if (found) return found
    }
    if (!job.isOver(lastLedger - ledgersToTell)) return undefined
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

  /** The account's sequence as of a validated ledger, or of the server's open one. */
  async #askSequence(ledger_index: 'current' | number): Promise<number> {
    const request = { command: 'account_info', account: this.#address, ledger_index }
    const { account_data, ledger_index: answered, validated } = await this.#connection.request(request)
    const sequence = toObject(account_data)?.Sequence
    const isOfLedger = ledger_index === 'current' || (answered === ledger_index && validated === true)
    if (!isOfLedger || !isUInt32(sequence)) throw new Error('The server answers what it was not asked')
    return sequence
  }
}

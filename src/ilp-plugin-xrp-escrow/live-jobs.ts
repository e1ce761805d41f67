import type { Job } from './job.ts'

// A transaction that is still open after this many ledgers may have been lost on its way: it is sent again.
const ledgersBeforeResend = 3

/** The transactions that have versions which could still be applied. */
export class LiveJobs {
  readonly #bySequence = new Map<number, Job>()
  // Those of an earlier run whose sequence another has taken here meanwhile: one of the two will be in a ledger.
  readonly #rivals = new Set<Job>()
  // Whether any of them may have to be sent again.
  #mayBeStale = false

  all(): Job[] {
    return [...this.#bySequence.values(), ...this.#rivals]
  }

  ofSequence(sequence: number): Job[] {
    const job = this.#bySequence.get(sequence)
    const rivals = [...this.#rivals].filter(rival => rival.sequence === sequence)
    return job ? [job, ...rivals] : rivals
  }

  isTaken(sequence: number): boolean {
    return this.ofSequence(sequence).length > 0
  }

  add(job: Job): void {
    const other = this.#bySequence.get(job.sequence)
    if (other && other !== job) this.#rivals.add(job)
    else this.#bySequence.set(job.sequence, job)
    // What has just been sent is not: looking at all of them for each would take the longer, the more there are.
    if (job.sentIn === Number.NEGATIVE_INFINITY) this.#mayBeStale = true
  }

  delete(job: Job): void {
    if (this.#bySequence.get(job.sequence) === job) this.#bySequence.delete(job.sequence)
    this.#rivals.delete(job)
  }

  clear(): void {
    this.#bySequence.clear()
    this.#rivals.clear()
  }

  /** Another ledger was validated. */
  onLedger(): void {
    this.#mayBeStale = true
  }

  /** It is to be sent again. */
  markLost(job: Job): void {
    job.sentIn = Number.NEGATIVE_INFINITY
    this.#mayBeStale = true
  }

  markAllLost(): void {
    for (const job of this.#bySequence.values()) this.markLost(job)
  }

  /** Those before a transaction are to be sent again, unless they have been just now. */
  markEarlierLost({ sequence }: Job, newestLedger: number): void {
    for (const earlier of this.#bySequence.values())
      if (earlier.sequence < sequence && earlier.sentIn < newestLedger) this.markLost(earlier)
  }

  /** The first that is to be sent again. */
  firstStale(newestLedger: number): Job | undefined {
    if (!this.#mayBeStale) return undefined
    let first: Job | undefined
    for (const job of this.#bySequence.values()) {
      const isStale = job.sentIn + ledgersBeforeResend <= newestLedger
      if (isStale && !(first && first.sequence < job.sequence)) first = job
    }
    this.#mayBeStale = first !== undefined
    return first
  }
}

import type { Job } from './job.ts'

/** The transactions that have versions which could still be applied. */
export class LiveJobs {
  // More than one of a sequence if an earlier run of the program has sent another under it.
  readonly #bySequence = new Map<number, Job[]>()

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
    const others = this.ofSequence(job.sequence).filter(other => other !== job)
    this.#bySequence.set(job.sequence, [...others, job])
  }

  delete(job: Job): void {
    const others = this.ofSequence(job.sequence).filter(other => other !== job)
    if (others.length > 0) this.#bySequence.set(job.sequence, others)
    else this.#bySequence.delete(job.sequence)
  }

  clear(): void {
    this.#bySequence.clear()
  }
}

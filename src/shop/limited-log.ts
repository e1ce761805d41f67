import { count } from '../terminal/text.ts'

const periodMs = 10_000

/** Prints as many lines about strangers as somebody can read; further ones are counted. */
export class LimitedLog {
  readonly #maxLines: number
  readonly #print: (line: string) => void
  #periodStart = 0
  #lines = 0

  /** @param maxLines - in ten seconds */
  constructor(maxLines: number, print: (line: string) => void = console.log) {
    this.#maxLines = maxLines
    this.#print = print
  }

  /** Prints a line, or counts it. */
  add(line: string): void {
    if (Date.now() - this.#periodStart >= periodMs) {
      if (this.#lines > this.#maxLines)
        this.#print(`    - ${count(this.#lines - this.#maxLines, 'more line')} like these`)
      this.#periodStart = Date.now()
      this.#lines = 0
    }
    if (++this.#lines <= this.#maxLines) this.#print(line)
  }
}

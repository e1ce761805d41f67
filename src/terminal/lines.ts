import type { WriteStream } from 'node:tty'
import { styleText } from 'node:util'

const colors: Record<string, 'yellow' | 'cyan'> = { shop: 'yellow', client: 'cyan' }
const minColumns = 57

/**
 * What several scripts write into one terminal: lines with the name of the script, and lines that grow. Where nothing
 * can be overwritten, in a file or a narrow terminal or when more lines grow than fit on it, they are printed when they
 * are complete.
 */
export class Lines {
  readonly #output: WriteStream
  readonly #hasColor: boolean
  // In which row each growing line stands, and which row is the next.
  readonly #rows = new Map<number, number>()
  #row = 0
  // Whose line the cursor is on, if it is in the middle of one.
  #openLine = ''

  constructor(output: WriteStream) {
    this.#output = output
    this.#hasColor = output.isTTY && output.hasColors()
  }

  /** A text in the color of a script, where the terminal has colors. */
  color(name: string, text: string): string {
    const color = colors[name]
    return this.#hasColor && color && text.trim() ? styleText(color, text) : text
  }

  /** Prints what a script wrote; the rest of a line stays on it unless another script has written since. */
  print(name: string, text: string): void {
    for (const part of text.match(/[^\n]*\n|[^\n]+/g) ?? []) {
      if (this.#openLine && this.#openLine !== name) this.#write('\n')
      const isBegun = this.#openLine === name || part === '\n'
      this.#write(isBegun ? part : `${this.color(name, `[${name}]`)} ${part}`, part.length + name.length + 2)
      this.#openLine = part.endsWith('\n') ? '' : name
    }
  }

  /** Leaves the row in which a terminal has shown a Ctrl-C. */
  leaveRow(): void {
    if (this.#output.isTTY) this.#write('\n')
  }

  /** Prints a line, over what it was before if that can still be seen. */
  grow(key: number, line: string, isComplete: boolean): void {
    const { isTTY, columns, rows } = this.#output
    const canGrow = isTTY && columns >= minColumns && process.env.TERM !== 'dumb'
    const up = this.#row - (this.#rows.get(key) ?? this.#row)
    if (up > 0 && up < rows && canGrow) {
      this.#output.write(`\x1b[${up}A\r\x1b[2K${line}\x1b[${up}B\r`)
    } else if (isComplete || (up === 0 && canGrow && this.#rows.size < rows - 1)) {
      this.#rows.set(key, this.#row)
      this.#write(`${canGrow ? '\r' : ''}${line}\n`)
    }
    if (isComplete) this.#rows.delete(key)
  }

  #write(text: string, length = 0): void {
    this.#output.write(text)
    if (text.endsWith('\n')) this.#row += Math.ceil(Math.max(1, length) / (this.#output.columns || 80))
  }
}

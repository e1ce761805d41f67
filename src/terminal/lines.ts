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

  constructor(output: WriteStream) {
    this.#output = output
    this.#hasColor = output.isTTY && output.hasColors()
  }

  /** A text in the color of a script, where the terminal has colors. */
  color(name: string, text: string): string {
    const color = colors[name]
    return this.#hasColor && color && text.trim() ? styleText(color, text) : text
  }

  /** Prints what a script has to say. */
  print(name: string, text: string): void {
    for (const line of text.trim().split('\n'))
      this.#write(`${this.color(name, `[${name}]`)} ${line}\n`, line.length + name.length + 3)
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

  /** Writes a line of so many characters, besides those for its color. */
  #write(line: string, length = 0): void {
    this.#output.write(line)
    this.#row += Math.ceil(Math.max(1, length) / (this.#output.columns || 80))
  }
}

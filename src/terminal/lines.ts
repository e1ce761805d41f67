import type { WriteStream } from 'node:tty'
import { styleText } from 'node:util'

const colours: Record<string, 'yellow' | 'cyan'> = { shop: 'yellow', client: 'cyan' }
const widest = 80

/**
 * What several write into one terminal: lines with the name of who wrote them, and lines that grow. Where nothing can
 * be written over, in a file or a narrow terminal or when more lines grow than fit on it, they are printed when they are
 * complete.
 */
export class Lines {
  readonly #output: WriteStream
  readonly #hasColour: boolean
  // In which row the growing lines stand, by key, and which is the next.
  readonly #rows = new Map<number, number>()
  #row = 0
  // Whose line the cursor is on, if it is in the middle of one.
  #openLine = ''

  constructor(output: WriteStream) {
    this.#output = output
    this.#hasColour = output.isTTY && output.hasColors()
  }

  get #canGrow(): boolean {
    return this.#output.isTTY && this.#output.columns >= widest && process.env.TERM !== 'dumb'
  }

  /** A text in the colour of someone's name, where the terminal has colours. */
  colour(name: string, text: string): string {
    const colour = colours[name]
    return this.#hasColour && colour && text.trim() ? styleText(colour, text) : text
  }

  /** Prints what someone wrote; the rest of a line stays on it unless someone else has written since. */
  print(name: string, text: string): void {
    for (const part of text.match(/[^\n]*\n|[^\n]+/g) ?? []) {
      if (this.#openLine && this.#openLine !== name) this.#write('\n')
      const isBegun = this.#openLine === name || part === '\n'
      this.#write(isBegun ? part : `${this.colour(name, `[${name}]`)} ${part}`, part.length + name.length + 2)
      this.#openLine = part.endsWith('\n') ? '' : name
    }
  }

  /** Leaves the row in which a terminal has shown the Ctrl-C that was pressed. */
  pass(): void {
    if (this.#output.isTTY) this.#write('\n')
  }

  /** Prints a line, in place of what it was before if that can still be seen, and of what the reader has typed. */
  grow(key: number, line: string, isComplete: boolean): void {
    const up = this.#row - (this.#rows.get(key) ?? this.#row)
    if (up > 0 && up < this.#output.rows && this.#canGrow) {
      this.#output.write(`\x1b[${up}A\r\x1b[2K${line}\x1b[${up}B\r`)
    } else if (isComplete || (up === 0 && this.#canGrow && this.#rows.size < this.#output.rows - 1)) {
      this.#rows.set(key, this.#row)
      this.#write(`${this.#canGrow ? '\r' : ''}${line}\n`)
    }
    if (isComplete) this.#rows.delete(key)
  }

  #write(text: string, length = 0): void {
    this.#output.write(text)
    if (text.endsWith('\n')) this.#row += Math.ceil(Math.max(1, length) / (this.#output.columns || widest))
  }
}

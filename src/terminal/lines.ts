import { styleText } from 'node:util'

const colors: Record<string, 'yellow' | 'cyan'> = { shop: 'yellow', client: 'cyan' }
const minColumns = 57

// What several scripts write into one terminal: lines with the name of the script, and lines that grow. Where nothing
// can be overwritten, in a file or a narrow terminal or when more lines grow than fit on it, they are printed when they
// are complete.
const output = process.stdout
const hasColor = output.isTTY && output.hasColors()
// In which row each growing line stands, and which row is the next.
const growing = new Map<number, number>()
let row = 0

/** A text in the color of a script, where the terminal has colors. */
export function color(name: string, text: string): string {
  const style = colors[name]
  return hasColor && style && text.trim() ? styleText(style, text) : text
}

/** Prints what a script has to say. */
export function print(name: string, text: string): void {
  for (const line of text.trim().split('\n'))
    write(`${color(name, `[${name}]`)} ${line}\n`, line.length + name.length + 3)
}

/** Leaves the row in which a terminal has shown a Ctrl-C. */
export function leaveRow(): void {
  if (output.isTTY) write('\n')
}

/** Prints a line, over what it was before if that can still be seen. */
export function grow(key: number, line: string, isComplete: boolean): void {
  const { isTTY, columns, rows } = output
  const canGrow = isTTY && columns >= minColumns && process.env.TERM !== 'dumb'
  const up = row - (growing.get(key) ?? row)
  if (up > 0 && up < rows && canGrow) {
    output.write(`\x1b[${up}A\r\x1b[2K${line}\x1b[${up}B\r`)
  } else if (isComplete || (up === 0 && canGrow && growing.size < rows - 1)) {
    growing.set(key, row)
    write(`${canGrow ? '\r' : ''}${line}\n`)
  }
  if (isComplete) growing.delete(key)
}

/** Writes a line of so many characters, besides those for its color. */
function write(line: string, length = 0): void {
  output.write(line)
  row += Math.ceil(Math.max(1, length) / (output.columns || 80))
}

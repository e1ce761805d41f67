import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

/** Whether this machine can open a terminal for a test: it takes the `script` of util-linux. */
export const hasTerminals = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes(
  'util-linux'
)

const columns = 80

// Text, a control sequence, or a control character.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a terminal is told by
const pieces = /([^\x00-\x1f]+)|\x1b\[([\d;]*[A-Za-z])|([\x00-\x1f])/g

/** A terminal of 80 columns and 24 rows, with what is typed on it, in which a command runs, as a reader sees it. */
export class Terminal {
  /** everything that the command has sent, control sequences included */
  sent = ''
  readonly #process: ChildProcess
  readonly #exited: Promise<number | null>

  /** @param command - for the shell */
  constructor(command: string, cwd: string, env: Record<string, string> = {}) {
    const { PATH, HOME } = process.env
    this.#process = spawn(
      'script',
      ['-qefc', `stty cols ${columns} rows 24 echo; exec ${command}`, '/dev/null'],
      {
        cwd,
        env: { PATH, HOME, TERM: 'xterm-256color', ...env },
        stdio: ['pipe', 'pipe', 'inherit']
      }
    )
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.sent += text
      this.#process.emit('output')
    })
    this.#exited = once(this.#process, 'close').then(([code]) => code as number | null)
  }

  /** Types, for example "\x03" for Ctrl-C. */
  type(keys: string): void {
    this.#process.stdin?.write(keys)
  }

  /** Waits until a reader finds on the screen what it looks for; rejects when the command ends without. */
  async waitForScreen(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.lines().join('\n'))
      if (found) return found
      if (this.#process.exitCode !== null || this.#process.signalCode !== null)
        throw new Error(`The command ended without ${pattern}:\n${this.sent}`)
      await Promise.race([once(this.#process, 'output'), this.#exited])
    }
  }

  /** Waits until the command has ended. Returns its exit code. */
  waitForEnd(): Promise<number | null> {
    return this.#exited
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill('SIGKILL')
    await this.#exited
  }

  /** What stands on the screen and above it, line by line, without colours. */
  lines(): string[] {
    const lines = ['']
    let [row, column] = [0, 0]
    for (const [, text, sequence, control] of this.sent.matchAll(pieces)) {
      if (text) {
        for (const character of text) {
          if (column === columns) [row, column] = [row + 1, 0]
          const line = (lines[row] ?? '').padEnd(column)
          lines[row] = line.slice(0, column) + character + line.slice(++column)
        }
      } else if (control === '\n') {
        row++
        lines[row] ??= ''
      } else if (control === '\r') column = 0
      else if (sequence === '2K') lines[row] = ''
      else if (sequence?.endsWith('A')) row = Math.max(0, row - Number.parseInt(sequence, 10))
      else if (sequence?.endsWith('B')) row += Number.parseInt(sequence, 10)
    }
    return lines
  }
}

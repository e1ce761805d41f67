import { count } from '../terminal/text.ts'

const periodMs = 10_000

/**
 * Makes a log for lines about strangers, as many as somebody can read: further ones are counted.
 *
 * @param maxLines - in ten seconds
 */
export function limitedLog(maxLines: number, print: (line: string) => void = console.log) {
  let periodStart = 0
  let lines = 0
  return function (line: string): void {
    if (Date.now() - periodStart >= periodMs) {
      if (lines > maxLines) print(`    - ${count(lines - maxLines, 'more line')} like these`)
      periodStart = Date.now()
      lines = 0
    }
    if (++lines <= maxLines) print(line)
  }
}

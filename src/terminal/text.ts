/** Makes text from outside safe for one line of a terminal: everything but plain text becomes a question mark. */
export function printable(text: string, maxLength = 1_000): string {
  return text
    .slice(0, maxLength)
    .trimEnd()
    .replace(/[^\x20-\x7e]/g, '?')
}

/** A number of things, in words: "1 letter", "2 letters". */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

/** Makes text from outside safe for one line of a terminal: everything but plain text becomes a question mark. */
export function printable(text: string, maxLength = 100): string {
  return text
    .slice(0, maxLength)
    .trimEnd()
    .replace(/[^\x20-\x7e]/g, '?')
}

/** A number of things, in words: "1 letter", "2 letters". */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

/** Why something failed: a connection that was tried at several addresses has failed at each for a reason. */
export function reasonOf(err: unknown): string {
  const causes: unknown[] = err instanceof AggregateError ? err.errors : [err]
  return causes.map(cause => (cause instanceof Error ? cause.message : String(cause))).join(', ')
}

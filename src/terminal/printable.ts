/** Text from a stranger, made safe for one line of a terminal: whatever is not plain text becomes a question mark. */
export function printable(text: string, maxLength = 1_000): string {
  return text
    .trimEnd()
    .slice(0, maxLength)
    .replace(/[^\x20-\x7e]/g, '?')
}

/** A number of things, in words: "1 letter", "2 letters". */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

import { count } from '../terminal/count.ts'

/** What a client has to account for in the end. */
export interface Books {
  payments: number
  letters: number
  /** of the payments: taken by the shop, come back, or lost with a test ledger that was restarted empty */
  fulfilled: number
  returned: number
  gone: number
  /** drops of those that were fulfilled */
  paid: bigint
  /** drops; undefined if the plugin does not tell */
  fees: bigint | undefined
}

/**
 * What became of the payments and what they cost, in two lines.
 *
 * @param inEscrow - how many payments the ledger holds at the end; of the rest nobody knows
 */
export function summaryOf(books: Books, inEscrow: number): string {
  const { payments, letters, fulfilled, returned, gone, paid, fees } = books
  const fates = Object.entries({
    fulfilled,
    returned,
    'gone with their ledger': gone,
    'in escrow': inEscrow,
    undecided: payments - fulfilled - returned - gone - inEscrow
  })
  const became = fates.filter(([, number]) => number > 0).map(([fate, number]) => `${number} ${fate}`)
  const onFees = fees === undefined ? 'and fees that the plugin does not tell' : `${fees} in fees`
  return (
    `${count(payments, 'payment')}, ${count(letters, 'letter')}: ${became.join(', ')}\n` +
    `${Number(paid + (fees ?? 0n)) / 1e6} XRP spent: ${paid} drops on letters, ${onFees}`
  )
}

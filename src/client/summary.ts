import type { Transfer } from 'ilp-plugin-xrp-escrow'
import { count } from '../terminal/text.ts'

/** What became of a client's payments. */
export interface PaymentTotals {
  payments: number
  letters: number
  fulfilled: number
  returned: number
  /** of those that were fulfilled */
  paidDrops: bigint
  /** undefined if the plugin does not report fees */
  feeDrops: bigint | undefined
}

export function noTotals(): PaymentTotals {
  return { payments: 0, letters: 0, fulfilled: 0, returned: 0, paidDrops: 0n, feeDrops: 0n }
}

/**
 * What became of the payments and what they cost, in two lines.
 *
 * @param inEscrow - how many payments the ledger holds; of the rest the outcome is unknown
 */
export function summaryOf(totals: PaymentTotals, inEscrow: number): string {
  const { payments, letters, fulfilled, returned, paidDrops, feeDrops } = totals
  const undecided = payments - fulfilled - returned - inEscrow
  const outcomes = Object.entries({ fulfilled, returned, 'in escrow': inEscrow, undecided })
    .filter(([, number]) => number > 0)
    .map(([outcome, number]) => `${number} ${outcome}`)
  const fees = feeDrops === undefined ? 'and fees that the plugin does not report' : `${feeDrops} in fees`
  return (
    `${count(payments, 'payment')}, ${count(letters, 'letter')}: ${outcomes.join(', ')}\n` +
    `${Number(paidDrops + (feeDrops ?? 0n)) / 1e6} XRP spent: ${paidDrops} drops on letters, ${fees}`
  )
}

/** What becomes of payments that are still in escrow. */
export function refundNotice(open: Transfer[], isEphemeral: boolean): string {
  if (isEphemeral)
    return 'Unfulfilled escrows are lost with the sandbox ledger, which stops a minute after the last script'
  const last = new Date(Math.max(...open.map(({ expiresAt = '' }) => Date.parse(expiresAt))))
  return `Unfulfilled escrows expire by ${last.toLocaleTimeString()}; the next run of a client cancels them`
}

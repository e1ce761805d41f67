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

/**
 * What became of the payments and what they cost, in two lines.
 *
 * @param inEscrow - how many payments the ledger holds
 * @param unknown - how many payments have an outcome that the client does not know
 */
export function summaryOf(totals: PaymentTotals, inEscrow: number, unknown: number): string {
  const { payments, letters, fulfilled, returned, paidDrops, feeDrops } = totals
  const outcomes = Object.entries({ fulfilled, returned, 'in escrow': inEscrow, unknown })
    .filter(([, number]) => number > 0)
    .map(([outcome, number]) => `${number} ${outcome}`)
  const spent = paidDrops + (feeDrops ?? 0n)
  const fees = feeDrops === undefined ? 'and fees that the plugin does not report' : `${feeDrops} in fees`
  return (
    `${count(payments, 'payment')}, ${count(letters, 'letter')}: ${outcomes.join(', ')}\n` +
    `${spent} drops spent (${Number(spent) / 1e6} XRP): ${paidDrops} for letters, ${fees}`
  )
}

/** What becomes of payments that are still in escrow. */
export function refundNotice(inEscrow: Transfer[]): string {
  const last = new Date(inEscrow.at(-1)?.expiresAt ?? '')
  return (
    `${sumOf(inEscrow)} not claimed by the shop so far: the last expires at ${last.toLocaleTimeString()}\n` +
    'A client that runs after that gets back what is left; a sandbox that has stopped by then has lost it'
  )
}

/** Says what has come back of an earlier run. */
export function recoveredNotice(recovered: Transfer[]): string {
  return `Recovered ${sumOf(recovered)} of an earlier run that had expired`
}

/** What becomes of payments whose outcome is unknown. */
export function unknownNotice(unknown: Transfer[]): string {
  return `${sumOf(unknown)} with unknown outcome, not counted above: paid, or back after they expire`
}

/**
 * What becomes of letters that are paid for and were not received.
 *
 * @param shop - where they can still be fetched; undefined if that is over
 */
export function missingNotice(letters: number, shop?: { url: string; payToken: string }): string {
  const missing = `${count(letters, 'letter')} paid for and not received`
  return shop === undefined
    ? `${missing}: the shop has gone`
    : `${missing}: while the shop runs, each of these requests fetches one\ncurl -H "Pay-Token: ${shop.payToken}" ${shop.url}`
}

function sumOf(transfers: Transfer[]): string {
  const drops = transfers.reduce((sum, { amount }) => sum + BigInt(amount), 0n)
  return `${count(transfers.length, 'payment')} (${drops} drops)`
}

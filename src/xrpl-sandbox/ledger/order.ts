import { accountId } from './hashes.ts'
import type { Transaction, TransactionFields } from './transaction.ts'

/** The number that a transaction uses up: its sequence, or its ticket, which comes after all sequences. */
export const numberOf = ({ Sequence, TicketSequence = 0 }: TransactionFields) =>
  Sequence === 0 ? 2 ** 32 + TicketSequence : Sequence

/** The order of an account's own transactions. */
export const byNumber = (a: Transaction, b: Transaction) =>
  numberOf(a.fields) - numberOf(b.fields) || (a.hash < b.hash ? -1 : 1)

/**
 * The order in which a ledger applies its transactions: by account in an order that nobody can foresee, then
 * by sequence or ticket, then by hash. Source: rippled, app/misc/CanonicalTXSet.cpp.
 */
export function canonicalOrder(transactions: Iterable<Transaction>, salt: Uint8Array): Transaction[] {
  const key = ({ fields }: Transaction) =>
    Buffer.from(accountId(fields.Account).map((byte, at) => byte ^ (salt[at] as number)))
  return [...transactions]
    .map(transaction => ({ transaction, key: key(transaction) }))
    .sort((a, b) => Buffer.compare(a.key, b.key) || byNumber(a.transaction, b.transaction))
    .map(({ transaction }) => transaction)
}

import { accountId } from './hashes.ts'
import type { Transaction, TransactionFields } from './transaction.ts'

/** What a transaction uses up: its sequence, or its ticket, which comes after all sequences. */
export function seqProxy({ Sequence, TicketSequence = 0 }: TransactionFields): number {
  return Sequence === 0 ? 2 ** 32 + TicketSequence : Sequence
}

/** The order of an account's own transactions. */
export function bySeqProxy(a: Transaction, b: Transaction): number {
  return seqProxy(a.fields) - seqProxy(b.fields) || (a.hash < b.hash ? -1 : 1)
}

/**
 * Sorts transactions into the order in which a ledger applies them: by account in an order that nobody can
 * foresee, then by sequence or ticket, then by hash. Source: rippled, app/misc/CanonicalTXSet.cpp.
 *
 * @param salt - at least 20 bytes that make the order of the accounts
 */
export function canonicalOrder<T extends Transaction>(transactions: Iterable<T>, salt: Uint8Array): T[] {
  const saltedAccount = ({ fields }: T) =>
    Buffer.from(accountId(fields.Account).map((byte, at) => byte ^ (salt[at] as number)))
  return [...transactions]
    .map(transaction => ({ transaction, account: saltedAccount(transaction) }))
    .sort((a, b) => Buffer.compare(a.account, b.account) || bySeqProxy(a.transaction, b.transaction))
    .map(({ transaction }) => transaction)
}

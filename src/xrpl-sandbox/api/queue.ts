import { minimumFee } from '../ledger/apply.ts'
import { type Ledger, REFERENCE_LEVEL } from '../ledger/ledger.ts'
import type { Transaction, TransactionFields } from '../ledger/transaction.ts'
import type { ApiVersion, Json } from './rpc.ts'
import { openItem } from './shapes.ts'

// Flags of an AccountSet that change who may sign: asfRequireAuth, asfDisableMaster, asfAccountTxnID.
const signerFlags = [2, 4, 5]

/** Whether a transaction may make those after it invalid. Source: rippled 2.3.0, tx/detail, makeTxConsequences. */
const changesSigners = ({ TransactionType, SetFlag = 0, ClearFlag = 0 }: TransactionFields) =>
  TransactionType === 'SetRegularKey' ||
  (TransactionType === 'AccountSet' && (signerFlags.includes(SetFlag) || signerFlags.includes(ClearFlag)))

/** What a transaction may take from its account, in drops, besides its fee. */
function spends({ TransactionType, Amount, SendMax }: TransactionFields): bigint {
  const most = SendMax ?? Amount
  return ['Payment', 'EscrowCreate'].includes(TransactionType) && typeof most === 'string' ? BigInt(most) : 0n
}

/** A transaction that waits for a lower price, and what it would pay. */
function waiting({ fields }: Transaction, ledger: Ledger) {
  const { Fee, LastLedgerSequence } = fields
  const level = (BigInt(Fee) * BigInt(REFERENCE_LEVEL)) / BigInt(minimumFee(fields, ledger.fees))
  return {
    auth_change: changesSigners(fields),
    fee: Fee,
    fee_level: String(level),
    ...(LastLedgerSequence !== undefined && { LastLedgerSequence }),
    max_spend_drops: String(spends(fields) + BigInt(Fee))
  }
}

/** Lowest and highest of what is used up, and how many. */
function range(name: 'sequence' | 'ticket', numbers: number[]): Json {
  if (numbers.length === 0) return {}
  return {
    [`${name}_count`]: numbers.length,
    [`lowest_${name}`]: Math.min(...numbers),
    [`highest_${name}`]: Math.max(...numbers)
  }
}

/** What of an account waits, as `account_info` with `queue` answers. */
export function accountQueue(ledger: Ledger, account: string): Json {
  const list = ledger.queue.list(account)
  if (list.length === 0) return { txn_count: 0 }
  const transactions = list.map(one => {
    const { Sequence: seq, TicketSequence: ticket } = one.fields
    return { ...(ticket === undefined ? { seq } : { ticket }), ...waiting(one, ledger) }
  })
  const tickets = list.flatMap(({ fields }) => fields.TicketSequence ?? [])
  const sequences = list.filter(({ fields }) => fields.TicketSequence === undefined)
  const total = transactions.reduce((sum, { max_spend_drops }) => sum + BigInt(max_spend_drops), 0n)
  return {
    txn_count: list.length,
    transactions,
    ...range(
      'sequence',
      sequences.map(({ fields }) => fields.Sequence)
    ),
    ...range('ticket', tickets),
    auth_change_queued: transactions.some(({ auth_change }) => auth_change),
    max_spend_drops_total: String(total)
  }
}

/** All that waits, as `ledger` with `queue` lists it: who pays most comes first. */
export function wholeQueue(
  ledger: Ledger,
  shape: { apiVersion: ApiVersion; binary: boolean; expand: boolean }
): Json[] {
  const list = ledger.queue.list().map(one => {
    const tx = shape.expand ? openItem(one, shape) : one.hash
    return {
      ...waiting(one, ledger),
      account: one.fields.Account,
      preflight_result: 'tesSUCCESS',
      retries_remaining: 10,
      ...(shape.apiVersion === 1 || typeof tx === 'string' ? { tx } : tx)
    }
  })
  return list.sort((a, b) => Number(BigInt(b.fee_level) - BigInt(a.fee_level)))
}

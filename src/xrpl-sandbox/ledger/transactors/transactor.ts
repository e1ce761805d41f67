import { accountFlags } from '../definitions.ts'
import type { EngineResult } from '../engine-results.ts'
import { indexOf } from '../hashes.ts'
import { type AccountRoot, accountOf, type State, type View } from '../state.ts'
import type { TransactionFields } from '../transaction.ts'

/** Amounts in drops. */
export interface Fees {
  base: number
  reserveBase: number
  reserveIncrement: number
}

/** The ledger that a transaction is applied to. */
export interface LedgerContext {
  ledgerIndex: number
  /** Close time of the ledger before, in seconds since 2000: the "now" of every rule about time. */
  parentCloseTime: number
  /** An open ledger asks for the minimum fee; a closed one takes what consensus gave it. */
  open: boolean
  fees: Fees
  networkId: number
}

/** What a type of transaction does. */
export interface Transactor {
  /** Flags the type knows, besides the universal one. */
  flags?: number
  /** Checks that need no ledger. */
  preflight?(fields: TransactionFields): EngineResult
  /** Checks against the ledger before the fee is taken. */
  preclaim?(fields: TransactionFields, state: State, context: LedgerContext): EngineResult
  /** The fee and the sequence are already taken from the account. */
  apply(fields: TransactionFields, view: View, context: LedgerContext): EngineResult
}

/** All that there are. */
export const maxDrops = 10n ** 17n
export const zeroAccount = 'rrrrrrrrrrrrrrrrrrrrrhoLvTp'

export const hasFlag = ({ Flags }: AccountRoot, flag: number) => (Flags & flag) !== 0

export const isXrp = (amount: unknown): amount is string => typeof amount === 'string'
export const drops = (amount: unknown) => BigInt(amount as string)

export function reserve({ fees }: LedgerContext, ownerCount: number): bigint {
  return BigInt(fees.reserveBase + fees.reserveIncrement * ownerCount)
}

/** Changes an account that must be there; what becomes undefined is taken out. */
export function updateAccount(
  view: View,
  address: string,
  change: (account: AccountRoot) => Partial<AccountRoot>
) {
  const account = accountOf(view, address) as AccountRoot
  view.write(indexOf.account(address), { ...account, ...change(account) })
}

export const addDrops = (amount: bigint) => (account: AccountRoot) => ({
  Balance: String(BigInt(account.Balance) + amount)
})

/** Whether an account takes money from another one. Nobody here has preauthorized anybody. */
export function refusesDeposit(destination: AccountRoot, from: string): boolean {
  return hasFlag(destination, accountFlags.lsfDepositAuth) && destination.Account !== from
}

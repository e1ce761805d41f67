import { fulfills, parseCondition } from './crypto-conditions.ts'
import { addToDirectory, removeFromDirectory } from './directory.ts'
import { claimsFee, type EngineResult, isSuccess } from './engine-results.ts'
import { addressOf, indexOf } from './hashes.ts'
import { type AccountRoot, type Escrow, readAccount, readEscrow, type State, View } from './state.ts'
import type { Transaction, TransactionFields } from './transaction.ts'

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

interface Transactor {
  /** Flags the type knows, besides the universal one. */
  flags: number
  /** Checks that need no ledger. */
  preflight?(fields: TransactionFields): EngineResult
  /** Checks against the ledger before the fee is taken. */
  preclaim?(fields: TransactionFields, state: State, context: LedgerContext): EngineResult
  apply(fields: TransactionFields, view: View, context: LedgerContext): EngineResult
}

const tfFullyCanonicalSig = 0x80000000
const tfNoRippleDirect = 0x00010000
const tfPartialPayment = 0x00020000
const tfLimitQuality = 0x00040000
const ZERO_ACCOUNT = 'rrrrrrrrrrrrrrrrrrrrrhoLvTp'
const ZERO_HASH = '0'.repeat(64)

const isXrp = (amount: unknown): amount is string => typeof amount === 'string'
const drops = (amount: unknown) => BigInt(amount as string)

function reserve({ fees }: LedgerContext, ownerCount: number): bigint {
  return BigInt(fees.reserveBase + fees.reserveIncrement * ownerCount)
}

/** Changes an account that must be there. */
function updateAccount(view: View, address: string, change: (account: AccountRoot) => Partial<AccountRoot>) {
  const index = indexOf.account(address)
  const account = readAccount(view, index)
  if (!account) throw new Error(`The account "${address}" is gone in the middle of a transaction`)
  view.write(index, { ...account, ...change(account) })
}

const addDrops = (amount: bigint) => (account: AccountRoot) => ({
  Balance: String(BigInt(account.Balance) + amount)
})

// Source: rippled 1.9.3, app/tx/impl/Payment.cpp.
const payment: Transactor = {
  flags: tfNoRippleDirect | tfPartialPayment | tfLimitQuality,

  preflight({ Account, Destination, Amount, SendMax, Paths, Flags = 0 }) {
    if (Destination === ZERO_ACCOUNT) return 'temDST_NEEDED'
    if (!isXrp(Amount)) return 'tesSUCCESS'
    if (drops(Amount) <= 0n) return 'temBAD_AMOUNT'
    if (SendMax !== undefined) return isXrp(SendMax) ? 'temBAD_SEND_XRP_MAX' : 'tesSUCCESS'
    if (Account === Destination && !Paths) return 'temREDUNDANT'
    if (Paths) return 'temBAD_SEND_XRP_PATHS'
    if (Flags & tfPartialPayment) return 'temBAD_SEND_XRP_PARTIAL'
    if (Flags & tfLimitQuality) return 'temBAD_SEND_XRP_LIMIT'
    if (Flags & tfNoRippleDirect) return 'temBAD_SEND_XRP_NO_DIRECT'
    return 'tesSUCCESS'
  },

  preclaim({ Destination, Amount, Flags = 0 }, state, context) {
    if (readAccount(state, indexOf.account(Destination as string))) return 'tesSUCCESS'
    if (!isXrp(Amount)) return 'tecNO_DST'
    if (context.open && Flags & tfPartialPayment) return 'telNO_DST_PARTIAL'
    return drops(Amount) < reserve(context, 0) ? 'tecNO_DST_INSUF_XRP' : 'tesSUCCESS'
  },

  apply({ Account, Destination, Amount, SendMax, Fee }, view, context) {
    // Nobody here trusts anybody: no other currency than XRP has a path.
    if (!isXrp(Amount) || SendMax !== undefined) return 'tecPATH_DRY'
    const sender = readAccount(view, indexOf.account(Account)) as AccountRoot
    const kept = reserve(context, sender.OwnerCount)
    // The fee may be paid out of the reserve.
    const missing = kept > drops(Fee) ? kept - drops(Fee) : 0n
    if (drops(sender.Balance) < drops(Amount) + missing) return 'tecUNFUNDED_PAYMENT'
    const index = indexOf.account(Destination as string)
    if (!readAccount(view, index)) {
      view.write(index, {
        LedgerEntryType: 'AccountRoot',
        Account: Destination as string,
        Balance: '0',
        Flags: 0,
        OwnerCount: 0,
        Sequence: context.ledgerIndex,
        PreviousTxnID: ZERO_HASH,
        PreviousTxnLgrSeq: 0
      })
    }
    updateAccount(view, Account, addDrops(-drops(Amount)))
    updateAccount(view, Destination as string, addDrops(drops(Amount)))
    return 'tesSUCCESS'
  }
}

// Source: rippled 1.9.3, app/tx/impl/Escrow.cpp.
const escrowCreate: Transactor = {
  flags: 0,

  preflight({ Amount, CancelAfter, FinishAfter, Condition }) {
    if (!isXrp(Amount) || drops(Amount) <= 0n) return 'temBAD_AMOUNT'
    if (CancelAfter === undefined && FinishAfter === undefined) return 'temBAD_EXPIRATION'
    if (CancelAfter !== undefined && FinishAfter !== undefined && CancelAfter <= FinishAfter)
      return 'temBAD_EXPIRATION'
    if (FinishAfter === undefined && Condition === undefined) return 'temMALFORMED'
    if (Condition !== undefined && !parseCondition(Condition)) return 'temMALFORMED'
    return 'tesSUCCESS'
  },

  apply(fields, view, context) {
    const { Account, CancelAfter, FinishAfter, Condition, SourceTag, DestinationTag, Sequence } = fields
    const Amount = fields.Amount as string
    const Destination = fields.Destination as string
    const now = context.parentCloseTime
    if (CancelAfter !== undefined && now > CancelAfter) return 'tecNO_PERMISSION'
    if (FinishAfter !== undefined && now > FinishAfter) return 'tecNO_PERMISSION'
    const owner = readAccount(view, indexOf.account(Account)) as AccountRoot
    const free = drops(owner.Balance) - reserve(context, owner.OwnerCount + 1)
    if (free < 0n) return 'tecINSUFFICIENT_RESERVE'
    if (free < drops(Amount)) return 'tecUNFUNDED'
    if (!readAccount(view, indexOf.account(Destination))) return 'tecNO_DST'
    const index = indexOf.escrow(Account, Sequence)
    const escrow: Escrow = {
      LedgerEntryType: 'Escrow',
      Account,
      Destination,
      Amount,
      ...(Condition !== undefined && { Condition }),
      ...(CancelAfter !== undefined && { CancelAfter }),
      ...(FinishAfter !== undefined && { FinishAfter }),
      ...(SourceTag !== undefined && { SourceTag }),
      ...(DestinationTag !== undefined && { DestinationTag }),
      Flags: 0,
      OwnerNode: addToDirectory(view, Account, index),
      PreviousTxnID: ZERO_HASH,
      PreviousTxnLgrSeq: 0
    }
    if (Destination !== Account) escrow.DestinationNode = addToDirectory(view, Destination, index)
    view.write(index, escrow)
    updateAccount(view, Account, account => ({
      ...addDrops(-drops(Amount))(account),
      OwnerCount: account.OwnerCount + 1
    }))
    return 'tesSUCCESS'
  }
}

/** Takes an escrow out of the ledger and gives its XRP to `receiver`. */
function closeEscrow(view: View, index: string, escrow: Escrow, receiver: string) {
  removeFromDirectory(view, escrow.Account, escrow.OwnerNode, index)
  if (escrow.DestinationNode !== undefined)
    removeFromDirectory(view, escrow.Destination, escrow.DestinationNode, index)
  updateAccount(view, receiver, addDrops(drops(escrow.Amount)))
  updateAccount(view, escrow.Account, ({ OwnerCount }) => ({ OwnerCount: OwnerCount - 1 }))
  view.erase(index)
}

const escrowFinish: Transactor = {
  flags: 0,

  preflight({ Condition, Fulfillment }) {
    return (Condition === undefined) === (Fulfillment === undefined) ? 'tesSUCCESS' : 'temMALFORMED'
  },

  apply({ Owner, OfferSequence, Condition, Fulfillment }, view, { parentCloseTime: now }) {
    const index = indexOf.escrow(Owner as string, OfferSequence as number)
    const escrow = readEscrow(view, index)
    if (!escrow) return 'tecNO_TARGET'
    if (escrow.FinishAfter !== undefined && now <= escrow.FinishAfter) return 'tecNO_PERMISSION'
    if (escrow.CancelAfter !== undefined && now > escrow.CancelAfter) return 'tecNO_PERMISSION'
    if (Condition !== undefined && !fulfills(Fulfillment as string, Condition))
      return 'tecCRYPTOCONDITION_ERROR'
    if (escrow.Condition !== Condition) return 'tecCRYPTOCONDITION_ERROR'
    closeEscrow(view, index, escrow, escrow.Destination)
    return 'tesSUCCESS'
  }
}

const escrowCancel: Transactor = {
  flags: 0,

  apply({ Owner, OfferSequence }, view, { parentCloseTime: now }) {
    const index = indexOf.escrow(Owner as string, OfferSequence as number)
    const escrow = readEscrow(view, index)
    if (!escrow) return 'tecNO_TARGET'
    if (escrow.CancelAfter === undefined || now <= escrow.CancelAfter) return 'tecNO_PERMISSION'
    closeEscrow(view, index, escrow, escrow.Account)
    return 'tesSUCCESS'
  }
}

const transactors: Record<string, Transactor> = {
  Payment: payment,
  EscrowCreate: escrowCreate,
  EscrowFinish: escrowFinish,
  EscrowCancel: escrowCancel
}

/**
 * The least a transaction may cost, in drops: ten, and for an EscrowFinish more by the length of its
 * fulfillment. Source: xrpl.org "Transaction Cost", Special Transaction Costs.
 */
export function minimumFee({ Fulfillment }: Pick<TransactionFields, 'Fulfillment'>, fees: Fees): number {
  const fulfillmentUnits = Fulfillment === undefined ? 0 : 32 + Math.floor(Fulfillment.length / 2 / 16)
  return fees.base * (1 + fulfillmentUnits)
}

function checkNetwork({ NetworkID }: TransactionFields, networkId: number): EngineResult {
  // Networks up to 1024 are older than the field. Source: xrpl.org "Transaction Common Fields", NetworkID.
  if (networkId <= 1024)
    return NetworkID === undefined ? 'tesSUCCESS' : 'telNETWORK_ID_MAKES_TX_NON_CANONICAL'
  if (NetworkID === undefined) return 'telREQUIRES_NETWORK_ID'
  return NetworkID === networkId ? 'tesSUCCESS' : 'telWRONG_NETWORK'
}

/** Checks that need no ledger. */
function preflight(fields: TransactionFields, context: LedgerContext): EngineResult {
  const transactor = transactors[fields.TransactionType]
  if (!transactor) return 'temDISABLED'
  const network = checkNetwork(fields, context.networkId)
  if (!isSuccess(network)) return network
  if (fields.Account === ZERO_ACCOUNT) return 'temBAD_SRC_ACCOUNT'
  if (!isXrp(fields.Fee) || drops(fields.Fee) < 0n) return 'temBAD_FEE'
  if (fields.TicketSequence !== undefined && fields.Sequence !== 0) return 'temSEQ_AND_TICKET'
  if ((fields.Flags ?? 0) & ~(tfFullyCanonicalSig | transactor.flags)) return 'temINVALID_FLAG'
  return transactor.preflight?.(fields) ?? 'tesSUCCESS'
}

/** Checks against the ledger, in rippled's order: its first complaint is the answer. */
function preclaim(fields: TransactionFields, state: State, context: LedgerContext): EngineResult {
  const account = readAccount(state, indexOf.account(fields.Account))
  if (!account) return 'terNO_ACCOUNT'
  if (fields.TicketSequence !== undefined)
    return fields.TicketSequence >= account.Sequence ? 'terPRE_TICKET' : 'tefNO_TICKET'
  if (fields.Sequence > account.Sequence) return 'terPRE_SEQ'
  if (fields.Sequence < account.Sequence) return 'tefPAST_SEQ'
  if (fields.AccountTxnID !== undefined) return 'tefWRONG_PRIOR' // no account here keeps track of it
  if (fields.LastLedgerSequence !== undefined && context.ledgerIndex > fields.LastLedgerSequence)
    return 'tefMAX_LEDGER'
  const fee = drops(fields.Fee)
  if (context.open && fee < BigInt(minimumFee(fields, context.fees))) return 'telINSUF_FEE_P'
  const balance = drops(account.Balance)
  if (fee > balance) return balance > 0n && !context.open ? 'tecINSUFF_FEE' : 'terINSUF_FEE_B'
  if (fields.Signers) return 'tefNOT_MULTI_SIGNING'
  if (addressOf(fields.SigningPubKey) !== fields.Account) return 'tefBAD_AUTH'
  return transactors[fields.TransactionType]?.preclaim?.(fields, state, context) ?? 'tesSUCCESS'
}

/** The fee is burnt, and the sequence used up. */
function claimFee({ Account, Fee }: TransactionFields, view: View): bigint {
  let burnt = 0n
  updateAccount(view, Account, ({ Balance, Sequence }) => {
    const left = drops(Balance) - drops(Fee)
    burnt = left < 0n ? drops(Balance) : drops(Fee)
    return { Balance: String(drops(Balance) - burnt), Sequence: Sequence + 1 }
  })
  return burnt
}

export type Outcome =
  | { result: EngineResult; applied: false }
  /** `view` holds the changes over the state; `burntDrops` of fee are gone with them. */
  | { result: EngineResult; applied: true; view: View; burntDrops: bigint }

/**
 * Applies a transaction to a state: nothing is changed in it, the changes come back as a layer over it.
 *
 * While `retry` holds, a transaction that would only claim its fee is left alone instead.
 * Source: rippled 1.9.3, app/tx/impl/Transactor.cpp and applySteps.cpp.
 */
export function applyTransaction(
  { fields }: Transaction,
  state: State,
  context: LedgerContext,
  { retry = false } = {}
): Outcome {
  let result = preflight(fields, context)
  if (isSuccess(result)) result = preclaim(fields, state, context)
  if (isSuccess(result)) {
    const view = new View(state)
    const burntDrops = claimFee(fields, view)
    result = (transactors[fields.TransactionType] as Transactor).apply(fields, view, context)
    if (isSuccess(result)) return { result, applied: true, view, burntDrops }
  }
  if (!claimsFee(result) || retry) return { result, applied: false }
  const view = new View(state)
  const burntDrops = claimFee(fields, view)
  return { result, applied: true, view, burntDrops }
}

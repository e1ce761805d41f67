import { accountFlags } from './definitions.ts'
import { claimsFee, type EngineResult, isSuccess } from './engine-results.ts'
import { addressOf, indexOf, zeroHash } from './hashes.ts'
import { type AccountRoot, accountOf, type State, View } from './state.ts'
import type { Transaction, TransactionFields } from './transaction.ts'
import { accountSet, isFree, setRegularKey } from './transactors/account.ts'
import { escrowCancel, escrowCreate, escrowFinish } from './transactors/escrow.ts'
import { payment } from './transactors/payment.ts'
import { ticketCreate, useTicket } from './transactors/ticket.ts'
import {
  drops,
  type Fees,
  hasFlag,
  isXrp,
  type LedgerContext,
  maxDrops,
  type Transactor,
  updateAccount,
  zeroAccount
} from './transactors/transactor.ts'

const tfFullyCanonicalSig = 0x80000000
const maxCredentials = 8

const transactors: Record<string, Transactor> = {
  Payment: payment,
  EscrowCreate: escrowCreate,
  EscrowFinish: escrowFinish,
  EscrowCancel: escrowCancel,
  AccountSet: accountSet,
  SetRegularKey: setRegularKey,
  TicketCreate: ticketCreate
}

/**
 * The least a transaction of an account may cost, in drops: ten for itself and for each signer, and for an
 * EscrowFinish more by the length of its fulfillment.
 * Source: xrpl.org "Transaction Cost", Special Transaction Costs.
 */
export function minimumFee(fields: Partial<TransactionFields>, fees: Fees, account?: AccountRoot): number {
  const { Fulfillment, Signers = [] } = fields
  if (account && isFree(fields, account)) return 0
  const fulfillmentUnits = Fulfillment === undefined ? 0 : 32 + Math.floor(Fulfillment.length / 2 / 16)
  return fees.base * (1 + fulfillmentUnits + Signers.length)
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
  // Nobody here can have delegated anything, or set up a domain.
  if (!transactor || fields.Delegate !== undefined || fields.DomainID !== undefined) return 'temDISABLED'
  const network = checkNetwork(fields, context.networkId)
  if (!isSuccess(network)) return network
  if (((fields.Flags ?? 0) & ~(tfFullyCanonicalSig | (transactor.flags ?? 0))) !== 0) return 'temINVALID_FLAG'
  if (fields.Account === zeroAccount) return 'temBAD_SRC_ACCOUNT'
  if (!isXrp(fields.Fee) || drops(fields.Fee) < 0n || drops(fields.Fee) > maxDrops) return 'temBAD_FEE'
  const usesTicket = fields.Sequence === 0 && fields.TicketSequence !== undefined
  if (usesTicket && fields.AccountTxnID !== undefined) return 'temINVALID'
  const result = transactor.preflight?.(fields) ?? 'tesSUCCESS'
  if (!isSuccess(result)) return result
  const credentials = fields.CredentialIDs ?? [zeroHash]
  const isList = credentials.length > 0 && credentials.length <= maxCredentials
  return isList && new Set(credentials).size === credentials.length ? 'tesSUCCESS' : 'temMALFORMED'
}

function checkSequence(fields: TransactionFields, account: AccountRoot, state: State): EngineResult {
  const { Sequence, TicketSequence, Account } = fields
  if (Sequence === 0 && TicketSequence !== undefined) {
    if (TicketSequence >= account.Sequence) return 'terPRE_TICKET'
    return state.read(indexOf.ticket(Account, TicketSequence)) ? 'tesSUCCESS' : 'tefNO_TICKET'
  }
  if (Sequence !== account.Sequence) return Sequence > account.Sequence ? 'terPRE_SEQ' : 'tefPAST_SEQ'
  return TicketSequence === undefined ? 'tesSUCCESS' : 'temSEQ_AND_TICKET'
}

function checkKey({ SigningPubKey, Account }: TransactionFields, account: AccountRoot): EngineResult {
  if (SigningPubKey === '') return 'tefNOT_MULTI_SIGNING'
  const signer = addressOf(SigningPubKey)
  if (signer === account.RegularKey) return 'tesSUCCESS'
  if (signer !== Account) return 'tefBAD_AUTH'
  return hasFlag(account, accountFlags.lsfDisableMaster) ? 'tefMASTER_DISABLED' : 'tesSUCCESS'
}

/** Checks against the ledger, in rippled's order: its first complaint is the answer. */
function preclaim(fields: TransactionFields, state: State, context: LedgerContext): EngineResult {
  const account = accountOf(state, fields.Account)
  if (!account) return 'terNO_ACCOUNT'
  const sequence = checkSequence(fields, account, state)
  if (!isSuccess(sequence)) return sequence
  const { AccountTxnID, LastLedgerSequence = context.ledgerIndex } = fields
  if (AccountTxnID !== undefined && AccountTxnID !== (account.AccountTxnID ?? zeroHash))
    return 'tefWRONG_PRIOR'
  if (context.ledgerIndex > LastLedgerSequence) return 'tefMAX_LEDGER'
  const key = checkKey(fields, account)
  if (!isSuccess(key)) return key
  const fee = drops(fields.Fee)
  if (context.open && fee < BigInt(minimumFee(fields, context.fees, account))) return 'telINSUF_FEE_P'
  const balance = drops(account.Balance)
  if (fee > balance) return balance > 0n && !context.open ? 'tecINSUFF_FEE' : 'terINSUF_FEE_B'
  return transactors[fields.TransactionType]?.preclaim?.(fields, state, context) ?? 'tesSUCCESS'
}

/** The fee is burnt, and the sequence or the ticket used up. */
function claimFee({ Account, Fee, Sequence, TicketSequence }: TransactionFields, view: View): bigint {
  let burnt = 0n
  updateAccount(view, Account, ({ Balance }) => {
    const left = drops(Balance) - drops(Fee)
    burnt = left < 0n ? drops(Balance) : drops(Fee)
    return { Balance: String(drops(Balance) - burnt), ...(Sequence > 0 && { Sequence: Sequence + 1 }) }
  })
  if (Sequence === 0 && TicketSequence !== undefined) useTicket(view, Account, TicketSequence)
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
 * Source: rippled 3.2.0, tx/Transactor.cpp and tx/applySteps.cpp.
 */
export function applyTransaction(
  { fields, hash }: Transaction,
  state: State,
  context: LedgerContext,
  { retry = false } = {}
): Outcome {
  let result = preflight(fields, context)
  if (isSuccess(result)) result = preclaim(fields, state, context)
  if (isSuccess(result)) {
    const view = new View(state)
    const burntDrops = claimFee(fields, view)
    if (accountOf(view, fields.Account)?.AccountTxnID)
      updateAccount(view, fields.Account, () => ({ AccountTxnID: hash }))
    result = (transactors[fields.TransactionType] as Transactor).apply(fields, view, context)
    if (isSuccess(result)) return { result, applied: true, view, burntDrops }
  }
  if (!claimsFee(result) || retry) return { result, applied: false }
  const view = new View(state)
  const burntDrops = claimFee(fields, view)
  return { result, applied: true, view, burntDrops }
}

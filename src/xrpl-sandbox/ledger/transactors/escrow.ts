import { fulfills, parseCondition } from '../crypto-conditions.ts'
import { accountFlags } from '../definitions.ts'
import { addToDirectory, removeFromDirectory } from '../directory.ts'
import { indexOf } from '../hashes.ts'
import { type AccountRoot, accountOf, type Escrow, readEntry, untouched, type View } from '../state.ts'
import {
  addDrops,
  drops,
  hasFlag,
  isXrp,
  refusesDeposit,
  reserve,
  type Transactor,
  updateAccount
} from './transactor.ts'

// Source: rippled 3.2.0, tx/transactors/escrow.
export const escrowCreate: Transactor = {
  preflight({ Amount, CancelAfter, FinishAfter, Condition }) {
    if (!isXrp(Amount) || drops(Amount) <= 0n) return 'temBAD_AMOUNT'
    if (CancelAfter === undefined && FinishAfter === undefined) return 'temBAD_EXPIRATION'
    if (CancelAfter !== undefined && FinishAfter !== undefined && CancelAfter <= FinishAfter)
      return 'temBAD_EXPIRATION'
    if (FinishAfter === undefined && Condition === undefined) return 'temMALFORMED'
    if (Condition !== undefined && !parseCondition(Condition)) return 'temMALFORMED'
    return 'tesSUCCESS'
  },

  preclaim({ Destination }, state) {
    return accountOf(state, Destination as string) ? 'tesSUCCESS' : 'tecNO_DST'
  },

  apply(fields, view, context) {
    const { Account, CancelAfter, FinishAfter, Condition, SourceTag, DestinationTag } = fields
    const Amount = fields.Amount as string
    const Destination = fields.Destination as string
    const now = context.parentCloseTime
    if (CancelAfter !== undefined && now > CancelAfter) return 'tecNO_PERMISSION'
    if (FinishAfter !== undefined && now > FinishAfter) return 'tecNO_PERMISSION'
    const owner = accountOf(view, Account) as AccountRoot
    const free = drops(owner.Balance) - reserve(context, owner.OwnerCount + 1)
    if (free < 0n) return 'tecINSUFFICIENT_RESERVE'
    if (free < drops(Amount)) return 'tecUNFUNDED'
    const receiver = accountOf(view, Destination) as AccountRoot
    if (hasFlag(receiver, accountFlags.lsfRequireDestTag) && DestinationTag === undefined)
      return 'tecDST_TAG_NEEDED'
    const Sequence = fields.TicketSequence ?? fields.Sequence
    const index = indexOf.escrow(Account, Sequence)
    const escrow: Escrow = {
      LedgerEntryType: 'Escrow',
      Account,
      Destination,
      Amount,
      Condition,
      CancelAfter,
      FinishAfter,
      SourceTag,
      DestinationTag,
      OwnerNode: addToDirectory(view, Account, index),
      Sequence,
      ...untouched
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

export const escrowFinish: Transactor = {
  preflight({ Condition, Fulfillment }) {
    return (Condition === undefined) === (Fulfillment === undefined) ? 'tesSUCCESS' : 'temMALFORMED'
  },

  preclaim({ Owner, OfferSequence, CredentialIDs }, state) {
    if (CredentialIDs) return 'tecBAD_CREDENTIALS' // nobody here has any
    const index = indexOf.escrow(Owner as string, OfferSequence as number)
    return readEntry(state, 'Escrow', index) ? 'tesSUCCESS' : 'tecNO_TARGET'
  },

  apply(fields, view, { parentCloseTime: now }) {
    const { Account, Owner, OfferSequence, Condition, Fulfillment } = fields
    const index = indexOf.escrow(Owner as string, OfferSequence as number)
    const escrow = readEntry(view, 'Escrow', index) as Escrow
    if (escrow.FinishAfter !== undefined && now <= escrow.FinishAfter) return 'tecNO_PERMISSION'
    if (escrow.CancelAfter !== undefined && now > escrow.CancelAfter) return 'tecNO_PERMISSION'
    if (Condition !== undefined && !fulfills(Fulfillment as string, Condition))
      return 'tecCRYPTOCONDITION_ERROR'
    if (escrow.Condition !== Condition) return 'tecCRYPTOCONDITION_ERROR'
    const receiver = accountOf(view, escrow.Destination) as AccountRoot
    if (refusesDeposit(receiver, Account)) return 'tecNO_PERMISSION'
    closeEscrow(view, index, escrow, escrow.Destination)
    return 'tesSUCCESS'
  }
}

export const escrowCancel: Transactor = {
  apply({ Owner, OfferSequence }, view, { parentCloseTime: now }) {
    const index = indexOf.escrow(Owner as string, OfferSequence as number)
    const escrow = readEntry(view, 'Escrow', index)
    if (!escrow) return 'tecNO_TARGET'
    if (escrow.CancelAfter === undefined || now <= escrow.CancelAfter) return 'tecNO_PERMISSION'
    closeEscrow(view, index, escrow, escrow.Account)
    return 'tesSUCCESS'
  }
}

import { accountFlags } from '../definitions.ts'
import { indexOf } from '../hashes.ts'
import { type AccountRoot, accountOf, newAccount } from '../state.ts'
import {
  addDrops,
  drops,
  hasFlag,
  isXrp,
  maxDrops,
  refusesDeposit,
  reserve,
  type Transactor,
  updateAccount,
  zeroAccount
} from './transactor.ts'

const tfNoRippleDirect = 0x00010000
const tfPartialPayment = 0x00020000
const tfLimitQuality = 0x00040000

// Source: rippled 3.2.0, tx/transactors/payment/Payment.cpp.
export const payment: Transactor = {
  flags: tfNoRippleDirect | tfPartialPayment | tfLimitQuality,

  preflight({ Account, Destination, Amount, SendMax, DeliverMin, Paths, Flags = 0 }) {
    // There is nothing but XRP on this ledger: issuers, and paths from one to the other, are not modeled.
    const amounts = [Amount, SendMax, DeliverMin].filter(amount => amount !== undefined)
    if (!amounts.every(amount => isXrp(amount) && drops(amount) <= maxDrops)) return 'temBAD_AMOUNT'
    if (Destination === zeroAccount) return 'temDST_NEEDED'
    if (drops(SendMax ?? Amount) <= 0n || drops(Amount) <= 0n) return 'temBAD_AMOUNT'
    if (Account === Destination && !Paths) return 'temREDUNDANT'
    if (SendMax !== undefined) return 'temBAD_SEND_XRP_MAX'
    if (Paths) return 'temBAD_SEND_XRP_PATHS'
    if (Flags & tfPartialPayment) return 'temBAD_SEND_XRP_PARTIAL'
    if (Flags & tfLimitQuality) return 'temBAD_SEND_XRP_LIMIT'
    if (Flags & tfNoRippleDirect) return 'temBAD_SEND_XRP_NO_DIRECT'
    return DeliverMin === undefined ? 'tesSUCCESS' : 'temBAD_AMOUNT'
  },

  preclaim({ Destination, DestinationTag, Amount, CredentialIDs }, state, context) {
    const receiver = accountOf(state, Destination as string)
    if (!receiver && drops(Amount) < reserve(context, 0)) return 'tecNO_DST_INSUF_XRP'
    if (receiver && hasFlag(receiver, accountFlags.lsfRequireDestTag) && DestinationTag === undefined)
      return 'tecDST_TAG_NEEDED'
    return CredentialIDs ? 'tecBAD_CREDENTIALS' : 'tesSUCCESS' // nobody here has any
  },

  apply({ Account, Destination, Amount, Fee }, view, context) {
    const receiver = accountOf(view, Destination as string)
    const sender = accountOf(view, Account) as AccountRoot
    const kept = reserve(context, sender.OwnerCount)
    // The fee may be paid out of the reserve.
    const missing = kept > drops(Fee) ? kept - drops(Fee) : 0n
    if (drops(sender.Balance) < drops(Amount) + missing) return 'tecUNFUNDED_PAYMENT'
    if (receiver) {
      // What an account needs to pay a fee, it takes from anybody.
      const least = reserve(context, 0)
      const isWedged = drops(Amount) <= least && drops(receiver.Balance) <= least
      if (!isWedged && refusesDeposit(receiver, Account)) return 'tecNO_PERMISSION'
    } else {
      const created = newAccount(Destination as string, '0', context.ledgerIndex)
      view.write(indexOf.account(created.Account), created)
    }
    updateAccount(view, Account, addDrops(-drops(Amount)))
    updateAccount(view, Destination as string, account => ({
      ...addDrops(drops(Amount))(account),
      Flags: (account.Flags & ~accountFlags.lsfPasswordSpent) >>> 0
    }))
    return 'tesSUCCESS'
  }
}

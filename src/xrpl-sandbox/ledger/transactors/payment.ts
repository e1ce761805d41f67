import type { EngineResult } from '../engine-results.ts'
import { indexOf } from '../hashes.ts'
import { type AccountRoot, accountOf, newAccount } from '../state.ts'
import type { TransactionFields } from '../transaction.ts'
import {
  addDrops,
  drops,
  hasFlag,
  isXrp,
  lsf,
  MAX_DROPS,
  refusesDeposit,
  reserve,
  type Transactor,
  updateAccount,
  ZERO_ACCOUNT
} from './transactor.ts'

const tfNoRippleDirect = 0x00010000
const tfPartialPayment = 0x00020000
const tfLimitQuality = 0x00040000

const BAD_CURRENCY = '0000000000000000000000005852500000000000'

interface IssuedAmount {
  currency?: string
  issuer?: string
  mpt_issuance_id?: string
  value: string
}

type Amount = string | IssuedAmount

const isMpt = (amount: Amount) => typeof amount === 'object' && amount.mpt_issuance_id !== undefined

/** What an amount is an amount of. */
const assetOf = (amount: Amount) =>
  typeof amount === 'string' ? 'XRP' : (amount.mpt_issuance_id ?? `${amount.currency}.${amount.issuer}`)

const currencyOf = (amount: Amount) => assetOf(amount).split('.')[0]
const isPositive = (amount: Amount) => Number(typeof amount === 'string' ? amount : amount.value) > 0
const isLegal = (amount: Amount) => typeof amount !== 'string' || drops(amount) <= MAX_DROPS

/** Whether the least to deliver is above what is to be delivered, both of one asset. */
function isAbove(least: Amount, amount: Amount): boolean {
  if (typeof least === 'string') return drops(least) > drops(amount)
  return Number(least.value) > Number((amount as IssuedAmount).value)
}

/**
 * What becomes of a payment that is not of XRP alone: nobody here trusts anybody, and nobody has an offer. A path is
 * thinkable where each asset is XRP or issued by who has it in hand. Source: rippled 2.3.0, app/paths/Flow.cpp.
 */
function alongPaths({ Account, Destination, Paths, ...fields }: TransactionFields): EngineResult {
  const { Flags = 0, Amount, SendMax = Amount } = fields
  if (Flags & tfNoRippleDirect && !Paths) return 'temRIPPLE_EMPTY'
  const [most, amount] = [SendMax, Amount] as [Amount, Amount]
  const isIn = (asset: Amount, hand: string | undefined) => typeof asset === 'string' || asset.issuer === hand
  const isThinkable =
    currencyOf(most) !== currencyOf(amount) && isIn(most, Account) && isIn(amount, Destination)
  return isThinkable && !(Flags & tfPartialPayment) ? 'tecPATH_PARTIAL' : 'tecPATH_DRY'
}

// Source: rippled 2.3.0, app/tx/detail/Payment.cpp.
export const payment: Transactor = {
  flags: tfNoRippleDirect | tfPartialPayment | tfLimitQuality,

  preflight(fields) {
    const { Account, Destination, SendMax, Paths, Flags = 0 } = fields
    const amount = fields.Amount as Amount
    const most = (SendMax ?? amount) as Amount
    const deliverMin = fields.DeliverMin as Amount | undefined
    if (isMpt(amount) && Flags & (tfNoRippleDirect | tfLimitQuality)) return 'temINVALID_FLAG'
    if (isMpt(amount) && Paths) return 'temMALFORMED'
    if (isMpt(amount) ? assetOf(amount) !== assetOf(most) : isMpt(most)) return 'temMALFORMED'
    if (!isLegal(amount) || !isLegal(most)) return 'temBAD_AMOUNT'
    if (Destination === ZERO_ACCOUNT) return 'temDST_NEEDED'
    if (!isPositive(most) || !isPositive(amount)) return 'temBAD_AMOUNT'
    if ([amount, most].some(of => currencyOf(of) === BAD_CURRENCY)) return 'temBAD_CURRENCY'
    // Of issued currencies the name counts, not the issuer.
    const isSame = currencyOf(most) === currencyOf(amount)
    if (Account === Destination && isSame && !Paths) return 'temREDUNDANT'
    const direct = isXrp(amount) && isXrp(most)
    if (direct && SendMax !== undefined) return 'temBAD_SEND_XRP_MAX'
    if (direct && Paths) return 'temBAD_SEND_XRP_PATHS'
    if (direct && Flags & tfPartialPayment) return 'temBAD_SEND_XRP_PARTIAL'
    if (direct && Flags & tfLimitQuality) return 'temBAD_SEND_XRP_LIMIT'
    if (direct && Flags & tfNoRippleDirect) return 'temBAD_SEND_XRP_NO_DIRECT'
    if (deliverMin !== undefined) {
      if (!(Flags & tfPartialPayment) || !isLegal(deliverMin) || !isPositive(deliverMin))
        return 'temBAD_AMOUNT'
      if (assetOf(deliverMin) !== assetOf(amount) || isAbove(deliverMin, amount)) return 'temBAD_AMOUNT'
    }
    return 'tesSUCCESS'
  },

  preclaim({ Destination, DestinationTag, Amount, Flags = 0 }, state, context) {
    const receiver = accountOf(state, Destination as string)
    if (!receiver) {
      if (!isXrp(Amount)) return 'tecNO_DST'
      if (context.open && Flags & tfPartialPayment) return 'telNO_DST_PARTIAL'
      if (drops(Amount) < reserve(context, 0)) return 'tecNO_DST_INSUF_XRP'
    } else if (hasFlag(receiver, lsf.requireDestTag) && DestinationTag === undefined) {
      return 'tecDST_TAG_NEEDED'
    }
    return 'tesSUCCESS'
  },

  apply(fields, view, context) {
    const { Account, Destination, Amount, SendMax, Fee } = fields
    const receiver = accountOf(view, Destination as string)
    if (!isXrp(Amount) || SendMax !== undefined) {
      if (isMpt(Amount as Amount)) return 'tecOBJECT_NOT_FOUND'
      return receiver && refusesDeposit(receiver, Account) ? 'tecNO_PERMISSION' : alongPaths(fields)
    }
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
      Flags: (account.Flags & ~lsf.passwordSpent) >>> 0
    }))
    return 'tesSUCCESS'
  }
}

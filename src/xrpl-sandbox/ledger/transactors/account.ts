import { accountFlags, definitions } from '../definitions.ts'
import { directoryEntries } from '../directory.ts'
import type { EngineResult } from '../engine-results.ts'
import { addressOf, zeroHash } from '../hashes.ts'
import { type AccountRoot, accountOf } from '../state.ts'
import type { TransactionFields } from '../transaction.ts'
import { hasFlag, type Transactor, updateAccount } from './transactor.ts'

const asf = definitions.ACCOUNT_SET_FLAGS

/** The flags of an account by their numbers in SetFlag and ClearFlag. Source: xrpl.org "AccountSet". */
const flagOf = new Map(
  Object.entries(asf).map(([name, number]) => {
    const flag = name === 'asfRequireDest' ? 'lsfRequireDestTag' : name.replace('asf', 'lsf')
    return [number, accountFlags[flag as keyof typeof accountFlags] ?? 0]
  })
)

/** The older way to set and clear the first three of them: in the transaction's own flags. */
const legacyFlags = [
  { number: 1, set: 0x00010000, clear: 0x00020000 },
  { number: 2, set: 0x00040000, clear: 0x00080000 },
  { number: 3, set: 0x00100000, clear: 0x00200000 }
]

const qualityOne = 1_000_000_000
const [minTickSize, maxTickSize] = [3, 16]
const maxDomainBytes = 256

const isPublicKey = (key: string) => /^(02|03|ED)[0-9A-F]{64}$/.test(key)

/** The numbers of the flags that a transaction sets and clears. */
function requestedFlags({ SetFlag = 0, ClearFlag = 0, Flags = 0 }: TransactionFields) {
  const set = new Set([SetFlag, ...legacyFlags.filter(({ set }) => Flags & set).map(({ number }) => number)])
  const clear = new Set([
    ClearFlag,
    ...legacyFlags.filter(({ clear }) => Flags & clear).map(({ number }) => number)
  ])
  return { set, clear }
}

/** The account's flags after the transaction, or what keeps them from being changed. */
function changeFlags(fields: TransactionFields, account: AccountRoot): number | EngineResult {
  const { Account, SigningPubKey } = fields
  const { set, clear } = requestedFlags(fields)
  const needsMaster = set.has(asf.asfDisableMaster) || set.has(asf.asfNoFreeze)
  if (needsMaster && !hasFlag(account, accountFlags.lsfDisableMaster)) {
    if (addressOf(SigningPubKey) !== Account) return 'tecNEED_MASTER_KEY'
    if (set.has(asf.asfDisableMaster) && account.RegularKey === undefined) return 'tecNO_ALTERNATIVE_KEY'
  }
  if (set.has(asf.asfNoFreeze) || hasFlag(account, accountFlags.lsfNoFreeze))
    clear.delete(asf.asfGlobalFreeze)
  for (const number of [asf.asfNoFreeze, asf.asfAllowTrustLineClawback]) clear.delete(number)
  let flags = account.Flags
  for (const number of set) flags |= flagOf.get(number) ?? 0
  for (const number of clear) flags &= ~(flagOf.get(number) ?? 0)
  return flags >>> 0
}

/** A field as it stands in the account from now on: a value that stands for none takes it out. */
const keepOrClear = <T>(value: T | undefined, old: T | undefined, ...none: T[]): T | undefined =>
  value === undefined ? old : none.includes(value) ? undefined : value

// Source: rippled 3.2.0, tx/transactors/account/AccountSet.cpp.
export const accountSet: Transactor = {
  flags: legacyFlags.reduce((all, { set, clear }) => all | set | clear, 0),

  preflight(fields) {
    const { TransferRate = 0, TickSize = 0, MessageKey = '', Domain = '', NFTokenMinter } = fields
    const { set, clear } = requestedFlags(fields)
    if ([...set].some(number => number !== 0 && clear.has(number))) return 'temINVALID_FLAG'
    if (TransferRate !== 0 && (TransferRate < qualityOne || TransferRate > 2 * qualityOne))
      return 'temBAD_TRANSFER_RATE'
    if (TickSize !== 0 && (TickSize < minTickSize || TickSize > maxTickSize)) return 'temBAD_TICK_SIZE'
    if (MessageKey !== '' && !isPublicKey(MessageKey)) return 'telBAD_PUBLIC_KEY'
    if (Domain.length / 2 > maxDomainBytes) return 'telBAD_DOMAIN'
    if ((NFTokenMinter === undefined ? set : clear).has(asf.asfAuthorizedNFTokenMinter)) return 'temMALFORMED'
    return 'tesSUCCESS'
  },

  preclaim(fields, state) {
    const account = accountOf(state, fields.Account) as AccountRoot
    const { set } = requestedFlags(fields)
    const ownsNothing = directoryEntries(state, fields.Account).next().done
    if (set.has(asf.asfRequireAuth) && !hasFlag(account, accountFlags.lsfRequireAuth) && !ownsNothing)
      return 'tecOWNERS'
    if (!set.has(asf.asfAllowTrustLineClawback)) {
      const isForbidden = set.has(asf.asfNoFreeze) && hasFlag(account, accountFlags.lsfAllowTrustLineClawback)
      return isForbidden ? 'tecNO_PERMISSION' : 'tesSUCCESS'
    }
    if (hasFlag(account, accountFlags.lsfNoFreeze)) return 'tecNO_PERMISSION'
    return ownsNothing ? 'tesSUCCESS' : 'tecOWNERS'
  },

  apply(fields, view) {
    const { Account, SetFlag, ClearFlag } = fields
    const account = accountOf(view, Account) as AccountRoot
    const Flags = changeFlags(fields, account)
    if (typeof Flags !== 'number') return Flags
    let { AccountTxnID, NFTokenMinter } = account
    if (SetFlag === asf.asfAccountTxnID) AccountTxnID ??= zeroHash
    if (ClearFlag === asf.asfAccountTxnID) AccountTxnID = undefined
    if (SetFlag === asf.asfAuthorizedNFTokenMinter) NFTokenMinter = fields.NFTokenMinter
    if (ClearFlag === asf.asfAuthorizedNFTokenMinter) NFTokenMinter = undefined
    updateAccount(view, Account, () => ({
      Flags,
      AccountTxnID,
      NFTokenMinter,
      EmailHash: keepOrClear(fields.EmailHash, account.EmailHash, '0'.repeat(32)),
      WalletLocator: keepOrClear(fields.WalletLocator, account.WalletLocator, zeroHash),
      MessageKey: keepOrClear(fields.MessageKey, account.MessageKey, ''),
      Domain: keepOrClear(fields.Domain, account.Domain, ''),
      TransferRate: keepOrClear(fields.TransferRate, account.TransferRate, 0, qualityOne),
      TickSize: keepOrClear(fields.TickSize, account.TickSize, 0, maxTickSize)
    }))
    return 'tesSUCCESS'
  }
}

// Source: rippled 3.2.0, tx/transactors/account/SetRegularKey.cpp.
export const setRegularKey: Transactor = {
  preflight({ Account, RegularKey }) {
    return Account === RegularKey ? 'temBAD_REGKEY' : 'tesSUCCESS'
  },

  apply(fields, view) {
    const { Account, RegularKey } = fields
    const account = accountOf(view, Account) as AccountRoot
    if (RegularKey === undefined && hasFlag(account, accountFlags.lsfDisableMaster))
      return 'tecNO_ALTERNATIVE_KEY'
    const spent = isFree(fields, account) ? accountFlags.lsfPasswordSpent : 0
    updateAccount(view, Account, () => ({ RegularKey, Flags: (account.Flags | spent) >>> 0 }))
    return 'tesSUCCESS'
  }
}

/** Who has lost the key in use gets a new one for nothing, once. Source: xrpl.org "Transaction Cost", Key Reset. */
export function isFree(fields: Partial<TransactionFields>, account: AccountRoot): boolean {
  const { TransactionType, Account, SigningPubKey = '' } = fields
  return (
    TransactionType === 'SetRegularKey' &&
    addressOf(SigningPubKey) === Account &&
    !hasFlag(account, accountFlags.lsfPasswordSpent)
  )
}

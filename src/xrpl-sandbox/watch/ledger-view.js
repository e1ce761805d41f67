// What the page knows of the ledger: as much as it shows.

export const maxColumns = 24 // of a lane: a ledger each, or a run of quiet ledgers
export const maxPayments = 20_000
const minQuietLedgers = 5 // that share a column
const maxOthers = 20
const maxAccounts = 30
const maxMemoBytes = 2000
const packetMemo = '/rel/xrpIlp'
export const rippleEpoch = 946_684_800 // 2000-01-01 in Unix time, in seconds

// A payment is an escrow, named by the index of its ledger entry. Its `created` is missing if the page did not see it.
/** @typedef {{ id: string, createdIn: number, created?: Transaction, ended?: Transaction }} State */
/** @typedef {ReturnType<typeof readTerms> & State} Payment */
/** @typedef {'created' | 'fulfilled' | 'canceled' | 'other'} Kind */
/** @typedef {{ address: string, first?: bigint, balance?: bigint, isRead?: boolean, isMissing?: boolean }} Account */
/** @typedef {Record<Kind, number> & { index: number, time?: number, hashes: Set<string> }} Ledger */
/** @typedef {ReturnType<typeof readTransaction>} Transaction */

const bytesOf = (/** @type {string} */ hex) =>
  Uint8Array.from(hex.match(/../g) ?? [], byte => Number.parseInt(byte, 16))
const textOf = (hex = '') => new TextDecoder().decode(bytesOf(hex.slice(0, 2 * maxMemoBytes)))

/** The 32 bytes of a PREIMAGE-SHA-256 fulfillment or condition as the tutorial prints them; others as they are. */
export function shortForm(hex = '') {
  const [, bytes] = /^A0(?:228020|258020)([0-9A-F]{64})(?:810120)?$/i.exec(hex) ?? []
  if (!bytes) return hex
  const base64 = btoa(String.fromCharCode(...bytesOf(bytes)))
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** Reads an ILP payment packet in base64url; undefined if it is not one. Source: Interledger RFC 0003, type 1. */
function readPacket(text = '') {
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    const view = new DataView(Uint8Array.from(binary, character => character.charCodeAt(0)).buffer)
    const start = view.getUint8(1) < 128 ? 2 : 2 + (view.getUint8(1) & 127)
    const length = view.getUint8(start + 8)
    if (view.getUint8(0) !== 1 || length > 127) return undefined
    const address = new TextDecoder().decode(new Uint8Array(view.buffer, start + 9, length))
    // The tutorial's clients number their payments in the last segment of the address.
    const [, client = address, paymentId] = /^(.+)\.(\d{1,9})$/.exec(address) ?? []
    return { amount: view.getBigUint64(start), address, client, paymentId }
  } catch {
    return undefined // a memo can hold anything
  }
}

/** The terms of an escrow, from its ledger entry or from the transaction that creates it. */
export const readTerms = (/** @type {any} */ escrow) => ({
  from: String(escrow.Account),
  to: /** @type {string | undefined} */ (escrow.Destination),
  amount: escrow.Amount,
  condition: /** @type {string | undefined} */ (escrow.Condition),
  expiry: /** @type {number | undefined} */ (escrow.CancelAfter)
})

/** @type {Record<string, any>} */
const kinds = {
  __proto__: null,
  EscrowCreate: 'created',
  EscrowFinish: 'fulfilled',
  EscrowCancel: 'canceled'
}

/** Reads a validated transaction out of a stream, account_tx or ledger, in version 1 or 2 of the API. */
export function readTransaction(/** @type {any} */ message) {
  const fields = message.transaction ?? message.tx ?? message.tx_json ?? message
  const meta = message.meta ?? message.metaData
  /** @type {any[]} */
  const nodes = meta.AffectedNodes.map((/** @type {object} */ node) => Object.values(node)[0])
  const escrowKind = meta.TransactionResult === 'tesSUCCESS' && kinds[fields.TransactionType]
  // The ledger entry names the escrow, whether a sequence or a ticket created it.
  const escrow = escrowKind && nodes.find(({ LedgerEntryType }) => LedgerEntryType === 'Escrow')
  const terms = readTerms(escrow?.FinalFields ?? fields)
  /** @type {{ type: string, data: string }[]} */
  const memos = (fields.Memos ?? []).map((/** @type {any} */ { Memo }) => ({
    type: textOf(Memo.MemoType),
    data: textOf(Memo.MemoData)
  }))
  const packet = readPacket(memos.find(({ type }) => type.endsWith(packetMemo))?.data)
  return {
    ...terms,
    amount: (escrow ? terms.amount : meta.delivered_amount) ?? fields.Amount ?? fields.DeliverMax,
    hash: String(message.hash ?? fields.hash),
    ledgerIndex: Number(message.ledger_index ?? fields.ledger_index),
    position: Number(meta.TransactionIndex),
    time: Number(fields.date ?? message.date ?? Date.parse(message.close_time_iso) / 1000 - rippleEpoch),
    type: String(fields.TransactionType),
    kind: /** @type {Kind} */ (escrow ? escrowKind : 'other'),
    result: String(meta.TransactionResult),
    account: String(fields.Account),
    escrowId: String(escrow?.LedgerIndex),
    createdIn: /** @type {number | undefined} */ (escrow?.FinalFields?.PreviousTxnLgrSeq),
    fee: BigInt(fields.Fee),
    fulfillment: /** @type {string | undefined} */ (fields.Fulfillment),
    memos: packet ? memos.filter(({ type }) => !type.endsWith(packetMemo)) : memos,
    packet,
    roots: nodes.filter(({ LedgerEntryType }) => LedgerEntryType === 'AccountRoot')
  }
}

/** Drops of an amount, which may be of a token. */
export const dropsOf = (/** @type {unknown} */ amount) =>
  /^\d+$/.test(`${amount}`) ? BigInt(`${amount}`) : 0n

const noTotals = { count: 0, drops: 0n, fees: 0n }

export class LedgerView {
  last = { index: 0, time: 0 }
  /** @type {Map<number, Ledger>} */
  ledgers = new Map()
  /** @type {Map<string, Payment>} */
  payments = new Map()
  /** @type {Map<string, Account>} */
  accounts = new Map()
  /** @type {Transaction[]} */
  others = []
  totals = {
    created: { ...noTotals },
    fulfilled: { ...noTotals },
    canceled: { ...noTotals },
    other: { ...noTotals }
  }

  constructor(/** @type {number} */ since, isFiltered = false) {
    this.since = since // the index of its first ledger
    this.isFiltered = isFiltered // to the accounts that are added to it
  }

  /** The first ledger of each column, oldest first: a run of quiet ledgers shares one. */
  columns(max = maxColumns) {
    const busy = [...this.ledgers.values()].filter(({ hashes, other }) => hashes.size > other)
    const newestFirst = [...busy.map(({ index }) => index).sort((a, b) => b - a), this.since - 1]
    const columns = []
    let last = this.last.index
    for (const index of newestFirst) {
      if (last - index >= minQuietLedgers) columns.push(index + 1)
      else for (; last > index; last--) columns.push(last)
      if (index >= this.since) columns.push(index)
      last = index - 1
      if (columns.length >= max) break
    }
    return columns.slice(0, max).reverse()
  }

  addLedger(/** @type {number} */ index, /** @type {number} */ time) {
    if (index < this.since) return
    this.#ledgerAt(index).time = time
    if (index >= this.last.index) this.last = { index, time }
    // Forgets what no column shows, except for open escrows. Quiet ledgers may come to share a column.
    const oldest = this.columns(maxColumns + minQuietLedgers)[0] ?? 0
    for (const at of this.ledgers.keys()) if (at < oldest) this.ledgers.delete(at)
    for (const { id, ended } of this.payments.values())
      if (ended && ended.ledgerIndex < oldest) this.payments.delete(id)
  }

  addTransaction(/** @type {Transaction} */ transaction) {
    const { kind, from, to, amount, condition, expiry, fee, hash, ledgerIndex } = transaction
    const { escrowId, createdIn = ledgerIndex } = transaction
    if (ledgerIndex < this.since) return
    const ledger = this.#ledgerAt(ledgerIndex)
    if (ledger.hashes.has(hash)) return
    ledger.hashes.add(hash)
    ledger[kind]++
    ledger.time ??= transaction.time

    const totals = this.totals[kind]
    totals.count++
    totals.fees += fee
    if (kind === 'other') this.others = [transaction, ...this.others].slice(0, maxOthers)
    else {
      const state = kind === 'created' ? { created: transaction } : { ended: transaction }
      this.addPayment(escrowId, { from, to, amount, condition, expiry, createdIn, ...state })
      totals.drops += dropsOf(amount)
    }

    if (!this.isFiltered && kind !== 'other')
      for (const address of [from, to]) if (address) this.addAccount(address)
    for (const { NewFields, FinalFields, PreviousFields } of transaction.roots) {
      const { Account, Balance } = NewFields ?? FinalFields ?? {}
      if (Balance) this.setBalance(Account, Balance, PreviousFields?.Balance)
    }
  }

  addPayment(/** @type {string} */ id, /** @type {Omit<Payment, 'id'>} */ news) {
    this.payments.set(id, Object.assign(this.payments.get(id) ?? { id }, news))
    if (this.payments.size > maxPayments) this.payments.delete(`${this.payments.keys().next().value}`)
  }

  addAccount(/** @type {string} */ address) {
    if (!this.accounts.has(address) && this.accounts.size < maxAccounts)
      this.accounts.set(address, { address })
  }

  /** Notes an account's balance in drops; the first one is what changes are measured from. */
  setBalance(/** @type {string} */ address, /** @type {string} */ balance, before = balance) {
    const account = this.accounts.get(address)
    if (!account) return
    account.first ??= BigInt(before)
    account.balance = BigInt(balance)
  }

  /** @returns {Ledger} */
  #ledgerAt(/** @type {number} */ index) {
    const counts = { created: 0, fulfilled: 0, canceled: 0, other: 0 }
    const ledger = this.ledgers.get(index) ?? { index, ...counts, hashes: new Set() }
    this.ledgers.set(index, ledger)
    return ledger
  }
}

// What has been seen of the ledger, as much of it as the page shows.

export const COLUMNS = 24 // what the lanes are drawn over: a ledger each, or a long run of quiet ones
export const HISTORY = 180 // ledgers that are looked back on
export const MAX_PAYMENTS = 20_000
const LONG_QUIET = 5
const MAX_OTHERS = 20
const MAX_ACCOUNTS = 30
const MAX_MEMO_LENGTH = 2000
const PACKET_MEMO = '/rel/xrpIlp'
export const RIPPLE_EPOCH = 946_684_800 // 2000-01-01, the ledger's year zero, in Unix time

/**
 * An escrow from beginning to end, in whatever order it was heard of.
 *
 * @typedef {object} Payment
 * @property {string} id the escrow's entry on the ledger
 * @property {Pick<Entry, 'from' | 'to' | 'amount' | 'condition' | 'expiry'>} terms
 * @property {number} madeIn the ledger
 * @property {Entry} [made] missing if that was before the page looked
 * @property {Entry} [ended]
 */
/** @typedef {'made' | 'fulfilled' | 'returned' | 'other'} Kind */
/** @typedef {{ address: string, first?: bigint, balance?: bigint, isMissing?: boolean }} Account */
/** @typedef {Record<Kind, number> & { index: number, time?: number, seen: Set<string> }} LedgerNotes */
/** @typedef {ReturnType<typeof readEntry>} Entry */

const bytesOf = (/** @type {string} */ hex) =>
  Uint8Array.from(hex.match(/../g) ?? [], byte => Number.parseInt(byte, 16))
const textOf = (hex = '') => new TextDecoder().decode(bytesOf(hex.slice(0, 2 * MAX_MEMO_LENGTH)))

/** The 32 bytes in a PREIMAGE-SHA-256 fulfillment or condition as the tutorial writes them; others as they are. */
export function shortForm(hex = '') {
  const [, bytes] = /^A0(?:228020|258020)([0-9A-F]{64})(?:810120)?$/i.exec(hex) ?? []
  if (!bytes) return hex
  const base64 = btoa(String.fromCharCode(...bytesOf(bytes)))
  return base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** What an ILP payment packet in base64url says, or undefined. Source: Interledger RFC 0003, type 1. */
function readPacket(text = '') {
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    const view = new DataView(Uint8Array.from(binary, character => character.charCodeAt(0)).buffer)
    const start = view.getUint8(1) < 128 ? 2 : 2 + (view.getUint8(1) & 127)
    const length = view.getUint8(start + 8)
    if (view.getUint8(0) !== 1 || length > 127) return undefined
    const address = new TextDecoder().decode(new Uint8Array(view.buffer, start + 9, length))
    // The tutorial's clients count their payments in the last segment of the address.
    const [, client = address, paymentId] = /^(.+)\.(\d{1,9})$/.exec(address) ?? []
    return { amount: view.getBigUint64(start), address, client, paymentId }
  } catch {
    return undefined // what a memo holds is its author's affair
  }
}

const escrowKinds = new Map([
  ['EscrowCreate', 'made'],
  ['EscrowFinish', 'fulfilled'],
  ['EscrowCancel', 'returned']
])

/** A validated transaction, as a stream, account_tx or ledger shows it in version 1 or 2 of the API. */
export function readEntry(/** @type {any} */ message) {
  const fields = message.transaction ?? message.tx ?? message.tx_json ?? message
  const meta = message.meta ?? message.metaData
  /** @type {any[]} */
  const nodes = meta.AffectedNodes.map((/** @type {object} */ node) => Object.values(node)[0])
  const escrowKind = meta.TransactionResult === 'tesSUCCESS' && escrowKinds.get(fields.TransactionType)
  // Its entry on the ledger names an escrow, whether a sequence or a ticket made it.
  const node = escrowKind && nodes.find(({ LedgerEntryType }) => LedgerEntryType === 'Escrow')
  const escrow = node?.FinalFields ?? fields
  /** @type {{ type: string, data: string }[]} */
  const memos = (fields.Memos ?? []).map((/** @type {any} */ { Memo }) => ({
    type: textOf(Memo.MemoType),
    data: textOf(Memo.MemoData)
  }))
  const packet = readPacket(memos.find(({ type }) => type.endsWith(PACKET_MEMO))?.data)
  return {
    hash: String(message.hash ?? fields.hash),
    ledgerIndex: Number(message.ledger_index ?? fields.ledger_index),
    position: Number(meta.TransactionIndex),
    time: Number(fields.date ?? message.date ?? Date.parse(message.close_time_iso) / 1000 - RIPPLE_EPOCH),
    type: String(fields.TransactionType),
    kind: /** @type {Kind} */ (node ? escrowKind : 'other'),
    result: String(meta.TransactionResult),
    account: String(fields.Account),
    from: String(escrow.Account),
    to: /** @type {string | undefined} */ (escrow.Destination),
    escrowId: String(node?.LedgerIndex),
    madeIn: /** @type {number | undefined} */ (node?.FinalFields?.PreviousTxnLgrSeq),
    amount: (node ? escrow.Amount : meta.delivered_amount) ?? fields.Amount ?? fields.DeliverMax,
    fee: BigInt(fields.Fee),
    condition: /** @type {string | undefined} */ (escrow.Condition),
    fulfillment: /** @type {string | undefined} */ (fields.Fulfillment),
    expiry: /** @type {number | undefined} */ (escrow.CancelAfter),
    memos: packet ? memos.filter(({ type }) => !type.endsWith(PACKET_MEMO)) : memos,
    packet,
    roots: nodes.filter(({ LedgerEntryType }) => LedgerEntryType === 'AccountRoot')
  }
}

/** Drops, of an amount that may be of a token. */
export const dropsOf = (/** @type {unknown} */ amount) =>
  /^\d+$/.test(`${amount}`) ? BigInt(`${amount}`) : 0n

const nothing = { count: 0, drops: 0n, fees: 0n }

export class Book {
  last = { index: 0, hash: '', time: 0 }
  /** @type {Map<number, LedgerNotes>} */
  ledgers = new Map()
  /** @type {Map<string, Payment>} */
  payments = new Map()
  /** @type {Map<string, Account>} */
  accounts = new Map()
  /** @type {Entry[]} */
  others = []
  totals = {
    made: { ...nothing },
    fulfilled: { ...nothing },
    returned: { ...nothing },
    other: { ...nothing }
  }

  /**
   * @param {number} since the first ledger in it
   * @param {string[]} [watched] addresses; without any, everybody's transactions go in
   */
  constructor(since, watched = []) {
    this.since = since
    this.watched = watched
  }

  /** The ledgers that the lanes are drawn over, the newest last; a long run of quiet ones is one column. */
  columns(most = COLUMNS) {
    const busy = [...this.ledgers.values()].filter(({ seen, other }) => seen.size > other)
    const indexes = busy.map(({ index }) => index).sort((a, b) => b - a)
    /** @type {{ first: number, last: number }[]} */
    const columns = []
    let last = this.last.index
    for (const index of [...indexes, this.since - 1]) {
      if (last - index >= LONG_QUIET) columns.push({ first: index + 1, last })
      else for (; last > index; last--) columns.push({ first: last, last })
      if (index >= this.since) columns.push({ first: index, last: index })
      last = index - 1
      if (columns.length >= most) break
    }
    return columns.slice(0, most).reverse()
  }

  enterLedger(/** @type {number} */ index, /** @type {number} */ time, hash = '') {
    if (index < this.since) return
    this.#ledgerAt(index).time = time
    if (index >= this.last.index) this.last = { index, hash, time }
    // What has left the columns is forgotten, unless it is still locked. Some of them may become one yet.
    const oldest = this.columns(COLUMNS + LONG_QUIET)[0]?.first ?? 0
    for (const at of this.ledgers.keys()) if (at < oldest) this.ledgers.delete(at)
    for (const { id, ended } of this.payments.values())
      if (ended && ended.ledgerIndex < oldest) this.payments.delete(id)
  }

  enterTransaction(/** @type {Entry} */ entry) {
    const { kind, amount, fee, ledgerIndex, hash, from, to, escrowId, madeIn = ledgerIndex, roots } = entry
    if (ledgerIndex < this.since || ledgerIndex <= this.last.index - HISTORY) return
    const ledger = this.#ledgerAt(ledgerIndex)
    if (ledger.seen.has(hash)) return
    ledger.seen.add(hash)
    ledger[kind]++
    ledger.time ??= entry.time

    const totals = this.totals[kind]
    totals.count++
    totals.fees += fee
    if (kind === 'other') this.others = [entry, ...this.others].slice(0, MAX_OTHERS)
    else {
      totals.drops += dropsOf(amount)
      const state = kind === 'made' ? { made: entry } : { ended: entry }
      this.enterPayment(escrowId, { terms: entry, madeIn, ...state })
    }

    for (const address of [from, to]) {
      const isWatched = this.watched.length > 0 ? this.watched.includes(`${address}`) : kind !== 'other'
      if (address && isWatched) this.openAccount(address)
    }
    for (const { NewFields, FinalFields, PreviousFields } of roots) {
      const { Account, Balance } = NewFields ?? FinalFields ?? {}
      if (Balance) this.setBalance(Account, Balance, PreviousFields?.Balance)
    }
  }

  enterPayment(/** @type {string} */ id, /** @type {Omit<Payment, 'id'>} */ news) {
    this.payments.set(id, Object.assign(this.payments.get(id) ?? { id }, news))
    if (this.payments.size > MAX_PAYMENTS) this.payments.delete(`${this.payments.keys().next().value}`)
  }

  openAccount(/** @type {string} */ address) {
    if (!this.accounts.has(address) && this.accounts.size < MAX_ACCOUNTS)
      this.accounts.set(address, { address })
  }

  /** In drops. */
  setBalance(/** @type {string} */ address, /** @type {string} */ balance, before = balance) {
    const account = this.accounts.get(address)
    if (!account) return
    account.first ??= BigInt(before)
    account.balance = BigInt(balance)
  }

  /** @returns {LedgerNotes} */
  #ledgerAt(/** @type {number} */ index) {
    const counts = { made: 0, fulfilled: 0, returned: 0, other: 0 }
    const notes = this.ledgers.get(index) ?? { index, ...counts, seen: new Set() }
    this.ledgers.set(index, notes)
    return notes
  }
}

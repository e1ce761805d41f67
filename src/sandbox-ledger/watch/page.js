const PLOT_LEDGERS = 180
const SHOWN_LEDGERS = 50 // of those with something in them
const SHOWN_ENTRIES = 25 // of one ledger
const MAX_ACCOUNTS = 30
const MAX_OPEN_ESCROWS = 10_000
const MAX_MEMO_LENGTH = 2000
const RETRY_MS = { first: 500, longest: 15_000 }
const SILENCE_MS = 15_000
const RIPPLE_EPOCH = 946_684_800 // 2000-01-01, the ledger's year zero, in Unix time

// What to watch: everything on the ledger that served the page, or some accounts, here or on another server.

const query = new URLSearchParams(location.search)
const server = query.get('server') ?? `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}`
const wanted = query
  .getAll('account')
  .flatMap(value => value.split(/[\s,]+/))
  .filter(Boolean)
const isElsewhere = query.has('server')
const everything = wanted.length === 0

// Reading what the ledger says

const bytesOf = hex => Uint8Array.from(hex.match(/../g) ?? [], byte => Number.parseInt(byte, 16))
const textOf = hex => new TextDecoder().decode(bytesOf(hex ?? '')).slice(0, MAX_MEMO_LENGTH)

const base64url = hex =>
  btoa(String.fromCharCode(...bytesOf(hex)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')

/** The 32 bytes in a PREIMAGE-SHA-256 fulfillment or condition as the tutorial writes them; others as they are. */
const shortForm = hex => {
  const [, bytes] = /^A0(?:228020|258020)([0-9A-F]{64})(?:810120)?$/i.exec(hex) ?? []
  return bytes ? base64url(bytes) : hex
}

/** The amount and address in an ILP payment packet, or undefined. Source: Interledger RFC 0003, type 1. */
function readPacket(text) {
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    const bytes = Uint8Array.from(binary, character => character.charCodeAt(0))
    const start = bytes[1] < 128 ? 2 : 2 + (bytes[1] & 127)
    const length = bytes[start + 8]
    if (bytes[0] !== 1 || length > 127) return undefined
    const amount = new DataView(bytes.buffer).getBigUint64(start)
    return `${number(amount)} for ${new TextDecoder().decode(bytes.slice(start + 9, start + 9 + length))}`
  } catch {
    return undefined // what a memo holds is its author's affair
  }
}

const escrowKinds = { EscrowCreate: 'made', EscrowFinish: 'fulfilled', EscrowCancel: 'returned' }

/** A validated transaction, as a stream, account_tx or ledger shows it in version 1 or 2 of the API. */
function readEntry(message) {
  const fields = message.transaction ?? message.tx ?? message.tx_json ?? message
  const meta = message.meta ?? message.metaData
  const succeeded = meta.TransactionResult === 'tesSUCCESS'
  const escrowKind = escrowKinds[fields.TransactionType]
  const gone = meta.AffectedNodes.find(({ DeletedNode }) => DeletedNode?.LedgerEntryType === 'Escrow')
  const escrow = escrowKind && (gone ? gone.DeletedNode.FinalFields : fields)
  return {
    hash: message.hash ?? fields.hash,
    ledgerIndex: message.ledger_index ?? fields.ledger_index,
    position: meta.TransactionIndex,
    time: fields.date ?? Date.parse(message.close_time_iso) / 1000 - RIPPLE_EPOCH,
    type: fields.TransactionType,
    kind: (succeeded && escrowKind) || 'other',
    result: meta.TransactionResult,
    succeeded,
    account: fields.Account,
    from: escrow?.Account ?? fields.Owner ?? fields.Account,
    to: escrow?.Destination ?? fields.Destination,
    sequence: fields.OfferSequence ?? (fields.Sequence || fields.TicketSequence),
    amount: escrow?.Amount ?? meta.delivered_amount ?? fields.Amount ?? fields.DeliverMax,
    fee: BigInt(fields.Fee),
    condition: escrow?.Condition,
    fulfillment: fields.Fulfillment,
    expiry: escrow?.CancelAfter,
    memos: (fields.Memos ?? []).map(({ Memo }) => ({
      type: textOf(Memo.MemoType),
      data: textOf(Memo.MemoData)
    })),
    roots: meta.AffectedNodes.map(node => node.CreatedNode ?? node.ModifiedNode ?? node.DeletedNode).filter(
      node => node.LedgerEntryType === 'AccountRoot'
    )
  }
}

// The book: what has been seen, as much of it as the page shows

const newTotals = () => ({ count: 0, drops: 0n, fees: 0n })
const newBook = since => ({
  since,
  last: { index: 0, hash: '', time: undefined },
  ledgers: new Map(),
  accounts: new Map(),
  openEscrows: new Map(),
  totals: { made: newTotals(), fulfilled: newTotals(), returned: newTotals(), other: newTotals() }
})
let book = newBook(0)

function ledgerAt(index) {
  const fresh = () => ({ index, made: 0, fulfilled: 0, returned: 0, other: 0, entries: [], seen: new Set() })
  if (!book.ledgers.has(index)) book.ledgers.set(index, fresh())
  return book.ledgers.get(index)
}

const interestingLedgers = () => [...book.ledgers.values()].filter(({ seen }) => seen.size > 0)

function enterLedger(index, time, hash) {
  if (index < book.since) return
  ledgerAt(index).time = time
  if (index >= book.last.index) book.last = { index, hash, time }
  const oldestShown = interestingLedgers().at(-SHOWN_LEDGERS)?.index ?? 0
  for (const [at, { seen }] of book.ledgers) {
    if (at <= index - PLOT_LEDGERS && (at < oldestShown || seen.size === 0)) book.ledgers.delete(at)
  }
}

function enterTransaction(entry) {
  const { kind, amount, fee, ledgerIndex, hash } = entry
  if (ledgerIndex < book.since || ledgerIndex <= book.last.index - PLOT_LEDGERS) return
  const ledger = ledgerAt(ledgerIndex)
  if (ledger.seen.has(hash)) return
  ledger.seen.add(hash)
  ledger[kind]++
  ledger.time ??= entry.time
  if (ledger.entries.length < SHOWN_ENTRIES) ledger.entries.push(entry)

  const value = typeof amount === 'string' && kind !== 'other' ? BigInt(amount) : 0n
  const totals = book.totals[kind]
  totals.count++
  totals.drops += value
  totals.fees += fee
  const escrow = `${entry.from}:${entry.sequence}`
  if (kind === 'made') book.openEscrows.set(escrow, value)
  else if (kind !== 'other') book.openEscrows.delete(escrow)
  if (book.openEscrows.size > MAX_OPEN_ESCROWS) book.openEscrows.delete(book.openEscrows.keys().next().value)

  for (const address of [entry.from, entry.to]) {
    if (everything ? kind !== 'other' : wanted.includes(address)) openAccount(address)
  }
  for (const { NewFields, FinalFields, PreviousFields } of entry.roots) {
    const { Account, Balance } = NewFields ?? FinalFields ?? {}
    if (Balance) setBalance(Account, Balance, PreviousFields?.Balance)
  }
}

function openAccount(address) {
  if (book.accounts.has(address)) return
  book.accounts.set(address, { address })
  if (book.accounts.size > MAX_ACCOUNTS) book.accounts.delete(book.accounts.keys().next().value)
}

function setBalance(address, balance, before = balance) {
  const account = book.accounts.get(address)
  if (!account) return
  account.first ??= BigInt(before)
  account.balance = BigInt(balance)
}

// Writing it down. Whatever comes from the ledger enters the document as text only.

const find = id => document.getElementById(id)
const number = value => value.toLocaleString('en')
const drops = value => `${number(value)} ${value === 1n ? 'drop' : 'drops'}`
const short = address => `${address.slice(0, 6)}…${address.slice(-4)}`
const clock = time =>
  time === undefined ? '' : new Date((time + RIPPLE_EPOCH) * 1000).toLocaleTimeString('en-GB')
const xrp = value => `${number(value / 1_000_000n)}.${String(value % 1_000_000n).padStart(6, '0')}`
const signed = value => (value < 0n ? `−${number(-value)}` : value > 0n ? `+${number(value)}` : '0')

function amountText(amount) {
  if (amount === undefined) return ''
  if (typeof amount === 'object') return `${amount.value} ${amount.currency ?? 'tokens'}`
  if (!/^\d+$/.test(amount)) return amount
  const value = BigInt(amount)
  return value < 1_000_000n ? drops(value) : `${xrp(value).replace(/\.?0+$/, '')} XRP`
}

function element(name, className, ...children) {
  const node = document.createElement(name)
  if (className) node.className = className
  node.append(...children)
  return node
}

/** Gives a node these children, and does not move what stays: it would lose its focus. */
function arrange(parent, children) {
  const keep = new Set(children)
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove()
  let at = parent.firstChild
  for (const child of children) {
    if (child === at) at = at.nextSibling
    else parent.insertBefore(child, at)
  }
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/** What an entry is, between whom, and the proof of it. */
function headline({ kind, succeeded, type, result, from, to, account, expiry, fulfillment }) {
  if (!succeeded) return ['Failed', `${type} of ${short(account)}`, result]
  const parties = `${short(from)} to ${short(to ?? '')}`
  const proof = fulfillment ? `by ${shortForm(fulfillment)}` : 'by time alone'
  if (kind === 'made') return ['Made', parties + (expiry ? `, until ${clock(expiry)}` : '')]
  if (kind === 'fulfilled') return ['Fulfilled', parties, proof]
  if (kind === 'returned') return ['Returned', `to ${short(from)}, after ${clock(expiry)}`]
  return [type, to ? parties : short(account)]
}

function facts(entry) {
  const list = element('dl', 'facts')
  const add = (term, text) => text && list.append(element('dt', '', term), element('dd', '', text))
  const packet = entry.memos.find(({ type }) => type.endsWith('/rel/xrpIlp'))
  if (entry.kind !== 'other') add('Escrow', `${entry.sequence} of ${entry.from}`)
  add('Sent by', entry.account)
  add('To', entry.to)
  add('Amount', amountText(entry.amount))
  add('Fee', drops(entry.fee))
  add('Expires', entry.expiry && new Date((entry.expiry + RIPPLE_EPOCH) * 1000).toISOString())
  add('Lock (condition)', entry.condition && shortForm(entry.condition))
  add('Fulfillment', entry.fulfillment && shortForm(entry.fulfillment))
  add('ILP packet', packet && readPacket(packet.data))
  for (const { type, data } of entry.memos) add('Memo', `${type}\n${data}`)
  add('Transaction', entry.hash)
  add('Result', entry.result)
  return list
}

function entryRow(entry) {
  const [word, who, proof] = headline(entry)
  const summary = element(
    'summary',
    '',
    element('b', entry.succeeded ? entry.kind : 'failed', word),
    element('span', '', who),
    element('span', 'amount', amountText(entry.amount))
  )
  if (proof) summary.append(element('span', 'key', proof))
  const details = element('details', '', summary)
  details.addEventListener('toggle', () => details.append(facts(entry)), { once: true })
  return element('li', '', details)
}

const ledgerItems = new WeakMap()

function ledgerItem(ledger) {
  const known = ledgerItems.get(ledger)
  if (known?.size === ledger.seen.size) return known.item
  const time = element('time', '', clock(ledger.time))
  const rows = ledger.entries.map(entryRow)
  const more = ledger.seen.size - ledger.entries.length
  if (more > 0) rows.push(element('li', 'gap', `and ${number(more)} more`))
  const head = element('div', 'head', element('h3', '', `Ledger ${number(ledger.index)}`), time)
  const item = element('li', 'ledger', head, element('ul', 'entries', ...rows))
  ledgerItems.set(ledger, { item, size: ledger.seen.size })
  return item
}

const gapItems = new Map()

/** The one line for ledgers without anything in them. */
function gapItem(first, last) {
  const item = gapItems.get(first) ?? element('li', 'run', element('span', 'gap'))
  const count = last - first + 1
  const range = count === 1 ? number(first) : `${number(first)} to ${number(last)}`
  write(item.firstChild, `${number(count)} quiet ${count === 1 ? 'ledger' : 'ledgers'}, ${range}`)
  gapItems.set(first, item)
  return item
}

function drawLedgers() {
  const interesting = interestingLedgers().slice(-SHOWN_LEDGERS)
  const items = []
  let next = interesting.length === SHOWN_LEDGERS ? interesting[0].index : book.since
  for (const ledger of interesting) {
    if (ledger.index > next) items.unshift(gapItem(next, ledger.index - 1))
    items.unshift(ledgerItem(ledger))
    next = ledger.index + 1
  }
  if (book.last.index >= next) items.unshift(gapItem(next, book.last.index))

  for (const [first, item] of gapItems) if (!items.includes(item)) gapItems.delete(first)
  arrange(find('list'), items)
}

function drawRhythm() {
  const { index: last, time: lastTime } = book.last
  const first = last - PLOT_LEDGERS + 1
  const plotted = [...book.ledgers.values()].filter(({ index }) => index >= first)
  const height = ({ made, fulfilled, returned }) => Math.max(made, fulfilled + returned)
  const tallest = Math.max(0, ...plotted.map(height))
  const bars = { made: '', fulfilled: '', returned: '' }
  const sums = { made: 0, fulfilled: 0, returned: 0 }
  const width = 720 / PLOT_LEDGERS
  for (const ledger of plotted) {
    const bar = (kind, from, to) => {
      sums[kind] += ledger[kind]
      if (ledger[kind] === 0) return
      const [start, end] = [from, to].map(count => 50 + (count * 48) / tallest)
      bars[kind] += `M${(ledger.index - first) * width} ${start}h${width - 1}V${end}h${1 - width}z`
    }
    bar('made', 0, -ledger.made)
    bar('fulfilled', 0, ledger.fulfilled)
    bar('returned', ledger.fulfilled, ledger.fulfilled + ledger.returned)
  }
  for (const kind of Object.keys(bars)) {
    find(`bars-${kind}`).setAttribute('d', bars[kind])
    write(find(`sum-${kind}`), number(sums[kind]))
  }
  const known = plotted.find(({ time }) => time !== undefined)
  const seconds =
    known && last > known.index ? ((lastTime - known.time) / (last - known.index)) * PLOT_LEDGERS : 0
  const span = seconds ? `, about ${number(Math.max(1, Math.round(seconds / 60)))} min` : ''
  write(find('plot-first'), first > 0 ? number(first) : '')
  write(find('plot-last'), `ledger ${number(last)}`)
  const scale = tallest ? `; the tallest bar is ${number(tallest)}` : ''
  write(find('rhythm-text'), `The last ${PLOT_LEDGERS} ledgers${span}${scale}`)
}

function drawTotals() {
  const fill = (kind, ...values) => {
    const cells = document.querySelectorAll(`[data-kind=${kind}] td`)
    for (const [at, value] of values.entries()) write(cells[at], value === undefined ? '' : number(value))
  }
  const { other, ...escrows } = book.totals
  for (const [kind, { count, drops, fees }] of Object.entries(escrows)) fill(kind, count, drops, fees)
  const fees = escrows.made.fees + escrows.fulfilled.fees + escrows.returned.fees
  const open = [...book.openEscrows.values()].reduce((sum, value) => sum + value, 0n)
  fill('open', book.openEscrows.size, open)
  fill('other', other.count, undefined, other.fees)
  fill('all', undefined, undefined, fees + other.fees)
  write(find('since'), `ledger ${number(book.since)}`)
  const paid = escrows.fulfilled.drops
  const rate = paid > 0n && Number((fees * 10n) / paid) / 10
  write(find('price'), rate ? `For each drop that was paid, ${number(rate)} went in fees.` : '')
}

function accountRows({ address }) {
  const name = element('th', 'key', address)
  name.scope = 'rowgroup'
  name.colSpan = 2
  const body = element('tbody', '', element('tr', '', name))
  body.append(element('tr', '', element('td', 'amount'), element('td', 'amount')))
  return body
}

function drawAccounts() {
  const table = find('accounts')
  for (const account of book.accounts.values()) {
    const { balance, first, missing } = account
    account.rows ??= accountRows(account)
    const [money, change] = account.rows.rows[1].cells
    write(money, balance === undefined ? (missing ? 'not on this ledger' : '…') : xrp(balance))
    write(change, balance === undefined ? '' : signed(balance - first))
  }
  arrange(table, [table.tHead, ...[...book.accounts.values()].map(({ rows }) => rows)])
  table.hidden = book.accounts.size === 0
  find('no-accounts').hidden = book.accounts.size > 0
}

let isPaused = false
let isDrawing = false

function draw() {
  if (isDrawing || isPaused) return
  isDrawing = true
  requestAnimationFrame(() => {
    isDrawing = false
    if (isPaused || book.since === 0) return
    write(find('latest'), `Ledger ${number(book.last.index)} closed at ${clock(book.last.time)}`)
    const { made, fulfilled, returned } = book.totals
    find('nothing').hidden = made.count + fulfilled.count + returned.count > 0
    drawRhythm()
    drawTotals()
    drawAccounts()
    drawLedgers()
  })
}

function say(text, state = '') {
  write(find('status'), text)
  find('status').className = state
}

// The connection

/** What the server answers when it does not do what was asked. */
class Refusal extends Error {
  constructor({ error, error_message }) {
    super(`it answers "${error_message ?? error}"`)
    this.code = error
  }
}

const unless = code => error => {
  if (error.code !== code) throw error
}

let attempts = 0

function connect() {
  const socket = new WebSocket(server)
  const answers = new Map()
  let waiting = [] // what the streams brought while the past was still being asked for
  let heardAt = Date.now()
  let asked = 0

  function ask(command, params = {}) {
    const id = ++asked
    socket.send(JSON.stringify({ id, command, ...params }))
    return new Promise((resolve, reject) => answers.set(id, { resolve, reject }))
  }

  function receive(message) {
    const answer = answers.get(message.id)
    answers.delete(message.id)
    if (answer && message.status === 'success') answer.resolve(message.result)
    else if (answer) answer.reject(new Refusal(message))
    else if (waiting) waiting.push(message)
    else enter(message)
  }

  function enter(message) {
    if (message.type === 'ledgerClosed')
      enterLedger(message.ledger_index, message.ledger_time, message.ledger_hash)
    else if (message.type === 'transaction' && message.validated) enterTransaction(readEntry(message))
    askBalances()
    draw()
  }

  function askBalances() {
    for (const account of book.accounts.values()) {
      if (account.balance !== undefined || account.asked === socket) continue
      account.asked = socket
      ask('account_info', { account: account.address, ledger_index: 'validated' }).then(
        ({ account_data }) => {
          if (account.balance === undefined) setBalance(account.address, account_data.Balance)
          draw()
        },
        () => {
          account.missing = true
          draw()
        }
      )
    }
  }

  /** Reads the ledgers that closed before the page looked, or while it could not. */
  async function catchUp({ ledger_index: current, ledger_hash: hash, ledger_time: time }) {
    const { index, hash: lastHash } = book.last
    const isSame =
      index > Math.max(0, current - PLOT_LEDGERS) &&
      index <= current &&
      (await ask('ledger', { ledger_index: index }).catch(unless('lgrNotFound')))?.ledger_hash === lastHash
    // The last ledger is read again: the connection may have gone in the middle of it.
    const from = isSame ? index : Math.max(current - PLOT_LEDGERS + 1, 1)
    const past = await (everything ? wholeLedgers(from, current) : accountHistory(from, current))
    if (!isSame) book = newBook(everything ? (past[0]?.index ?? current) : from)
    for (const ledger of past) {
      for (const entry of ledger.entries) enterTransaction(entry)
      if (ledger.time !== undefined) enterLedger(ledger.index, ledger.time, '')
    }
    enterLedger(current, time, hash)
    for (const address of wanted) openAccount(address)
  }

  async function wholeLedgers(from, to) {
    const indexes = Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at)
    const read = async index => {
      const { ledger } = await ask('ledger', { ledger_index: index, transactions: true, expand: true })
      const own = { ledger_index: index, date: ledger.close_time }
      const entries = ledger.transactions.map(item =>
        readEntry(item.tx_json ? { ...own, ...item } : { ...item, ...own })
      )
      return { index, time: ledger.close_time, entries: entries.sort((a, b) => a.position - b.position) }
    }
    const found = await Promise.all(indexes.map(index => read(index).catch(unless('lgrNotFound'))))
    return found.filter(Boolean)
  }

  async function accountHistory(from, to) {
    const entries = []
    for (const account of wanted) {
      const range = { account, ledger_index_min: from, ledger_index_max: to, limit: 200 }
      let marker
      do {
        const page = await ask('account_tx', { ...range, marker }).catch(unless('actNotFound'))
        entries.push(...(page?.transactions ?? []).map(readEntry))
        marker = page?.marker
      } while (marker)
    }
    entries.sort((a, b) => a.ledgerIndex - b.ledgerIndex || a.position - b.position)
    return [{ entries }]
  }

  async function begin() {
    const streams = everything ? ['ledger', 'transactions'] : ['ledger']
    const status = await ask('subscribe', { streams, ...(!everything && { accounts: wanted }) })
    await catchUp(status)
    const missed = waiting
    waiting = undefined
    for (const message of missed) enter(message)
    attempts = 0
    say(`Connected to ${server}`, 'up')
    askBalances()
    draw()
  }

  // A connection can die without a word: one that does not even answer a ping is given up.
  const watchdog = setInterval(() => {
    if (socket.readyState !== WebSocket.OPEN) return
    if (Date.now() - heardAt > 2 * SILENCE_MS) lose()
    else if (Date.now() - heardAt > SILENCE_MS) ask('ping').catch(() => {})
  }, SILENCE_MS / 2)

  function lose(reason) {
    clearInterval(watchdog)
    socket.onclose = socket.onmessage = null
    socket.close()
    const why = reason ? `Cannot watch ${server}: ${reason.message}` : `No connection to ${server}`
    const advice = reason || isElsewhere ? '' : '. If the ledger was stopped, start it: npm run ledger'
    say(`${why}; trying again${advice}`, 'down')
    const wait = Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** attempts++)
    setTimeout(connect, wait * (0.75 + Math.random() / 2))
  }

  socket.onopen = () => begin().catch(lose)
  socket.onclose = () => lose()
  socket.onmessage = ({ data }) => {
    heardAt = Date.now()
    try {
      receive(JSON.parse(data))
    } catch {
      lose(new Error('it sends what this page does not understand'))
    }
  }
}

find('pause').addEventListener('click', ({ currentTarget }) => {
  isPaused = !isPaused
  currentTarget.setAttribute('aria-pressed', String(isPaused))
  draw()
})

if (!everything)
  write(find('nothing'), 'No escrow of these accounts has been seen yet: each will be a line here.')
if (!/^wss?:\/\/./.test(server) || !URL.canParse(server))
  say(`The server "${server}" is not a WebSocket address: it must begin with ws:// or wss://`, 'down')
else if (isElsewhere && everything)
  say(`Name the accounts to watch on ${server}: add &account=r… to this page's address`, 'down')
else connect()

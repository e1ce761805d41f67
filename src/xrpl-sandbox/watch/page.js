import { Book, COLUMNS, HISTORY, MAX_PAYMENTS, readEntry } from './book.js'
import { closeLanes, drawBook, drawSpecimen, element, find, nameOf, sandboxAccounts, write } from './lanes.js'

const CHUNK = 20 // ledgers to read at a time
const DRAW_MS = 100
const RETRY_MS = { first: 500, longest: 15_000 }
const FIRST_ATTEMPTS = 5
const SILENCE_MS = 15_000

// What to watch: everything on the ledger that served the page, or some accounts, here or on another server.

const query = new URLSearchParams(location.search)
const server = query.get('server') ?? location.origin.replace('http', 'ws')
const wanted = query.getAll('account').flatMap(value => value.split(/[\s,]+/).filter(Boolean))
const isElsewhere = query.has('server')
const everything = wanted.length === 0

function linkTo(/** @type {string[]} */ accounts) {
  const search = new URLSearchParams(accounts.map(account => ['account', account]))
  if (isElsewhere) search.set('server', server)
  return `?${search}`
}

let book = new Book(0)
let isPaused = false
let isDrawing = false

function draw() {
  if (isDrawing) return
  isDrawing = true
  // What comes in one ledger is drawn at once.
  setTimeout(requestAnimationFrame, DRAW_MS, () => {
    isDrawing = false
    if (!isPaused && book.since > 0) drawBook(book, linkTo)
  })
}

function say(/** @type {string} */ text, state = '') {
  write(find('status'), text)
  find('status').className = state
}

/** Says what is wrong, and asks no more. */
function giveUp(/** @type {string} */ text) {
  say('Not connected', 'down')
  document.body.classList.add('failed')
  write(find('notice').firstElementChild, text)
}

// The connection

/** What the server answers when it does not do what was asked. */
class Refusal extends Error {
  constructor(/** @type {any} */ { error, error_message }) {
    super(`${server} answers "${error_message ?? error}"`)
    this.code = error
    this.isFinal = ['actMalformed', 'invalidParams', 'unknownCmd'].includes(error)
  }
}

const notALedger = () =>
  Object.assign(new Error(`${server} does not speak as an XRP Ledger does`), { isFinal: true })

const unless = (/** @type {string} */ code) => (/** @type {any} */ error) => {
  if (error.code !== code) throw error
}

let attempts = 0
let wasConnected = false

function connect() {
  const socket = new WebSocket(server)
  /** @type {Map<unknown, { resolve(result: any): void, reject(error: Error): void }>} */
  const answers = new Map()
  /** @type {any[] | undefined} */
  let waiting = [] // what the streams brought while the past was still being asked for
  /** @type {Set<string>} */
  const askedFor = new Set()
  let heardAt = Date.now()
  let asked = 0

  /** @returns {Promise<any>} */
  function ask(/** @type {string} */ command, params = {}) {
    const id = ++asked
    socket.send(JSON.stringify({ id, command, ...params }))
    return new Promise((resolve, reject) => answers.set(id, { resolve, reject }))
  }

  function receive(/** @type {any} */ message) {
    const answer = answers.get(message.id)
    answers.delete(message.id)
    if (answer && message.status === 'success') answer.resolve(message.result)
    else if (answer) answer.reject(message.error ? new Refusal(message) : notALedger())
    else if (waiting) waiting.push(message)
    else enter(message)
  }

  function enter(/** @type {any} */ message) {
    if (message.type === 'ledgerClosed')
      book.enterLedger(message.ledger_index, message.ledger_time, message.ledger_hash)
    else if (message.type === 'transaction' && message.validated) enterTransactions([message])
    askBalances()
    draw()
  }

  function enterTransactions(/** @type {any[]} */ messages) {
    const entries = messages.flatMap(message => {
      try {
        return readEntry(message)
      } catch {
        return [] // nothing that this page could show
      }
    })
    entries.sort((a, b) => a.ledgerIndex - b.ledgerIndex || a.position - b.position)
    for (const entry of entries) book.enterTransaction(entry)
  }

  function askBalances() {
    for (const account of book.accounts.values()) {
      if (account.balance !== undefined || askedFor.has(account.address)) continue
      askedFor.add(account.address)
      ask('account_info', { account: account.address, ledger_index: 'validated' })
        .then(({ account_data }) => account.balance ?? book.setBalance(account.address, account_data.Balance))
        .catch(() => Object.assign(account, { isMissing: true }))
        .then(draw)
    }
  }

  /** Reads the ledgers that closed before the page looked, or while it could not. */
  async function catchUp(/** @type {any} */ status) {
    const { ledger_index: current, ledger_hash: hash, ledger_time: time, validated_ledgers } = status
    // A server of today refuses a range that begins before its own ledgers.
    const oldest = Number(/(\d+)(?:-\d+)?$/.exec(validated_ledgers ?? '')?.[1] ?? 1)
    const { index, hash: lastHash } = book.last
    const isSame =
      index > Math.max(0, current - HISTORY) &&
      index <= current &&
      (await ask('ledger', { ledger_index: index }).catch(unless('lgrNotFound')))?.ledger_hash === lastHash
    // The last ledger is read again: the connection may have gone in the middle of it.
    const from = isSame ? index : Math.max(current - HISTORY + 1, oldest)
    const past = await (everything ? wholeLedgers(from, current, isSame) : accountHistory(from, current))
    if (!isSame) book = new Book(past.since, wanted)
    for (const address of everything ? sandboxAccounts : wanted) book.openAccount(address)
    enterTransactions(past.transactions)
    for (const [index, time] of past.times) book.enterLedger(index, time)
    book.enterLedger(current, time, hash)
    await Promise.all([...book.accounts.keys()].map(readLocked))
  }

  /** From the newest back, until there is enough for all columns, or all that was missed. */
  async function wholeLedgers(/** @type {number} */ first, /** @type {number} */ last, isGap = false) {
    const transactions = []
    /** @type {[index: number, time: number][]} */
    const times = []
    let busy = 0
    for (let to = last; to >= first && (isGap || busy < COLUMNS); to -= CHUNK) {
      const indexes = Array.from({ length: Math.min(CHUNK, to - first + 1) }, (_, at) => to - at)
      const params = { transactions: true, expand: true }
      const read = (/** @type {number} */ ledger_index) => ask('ledger', { ledger_index, ...params })
      const found = await Promise.all(indexes.map(index => read(index).catch(unless('lgrNotFound'))))
      for (const { ledger, ledger_index } of found.filter(Boolean)) {
        times.push([ledger_index, ledger.close_time])
        for (const item of ledger.transactions)
          transactions.push({ ...item, ledger_index, date: ledger.close_time })
        if (ledger.transactions.length > 0) busy++
      }
    }
    return { since: times.at(-1)?.[0] ?? last, transactions, times: times.reverse() }
  }

  async function accountHistory(/** @type {number} */ since, /** @type {number} */ to) {
    const range = { ledger_index_min: since, ledger_index_max: to, limit: 200 }
    const histories = wanted.map(account => readPages('account_tx', { account, ...range }, 'transactions'))
    return { since, transactions: (await Promise.all(histories)).flat(), times: [] }
  }

  /** What was locked before the page looked. */
  async function readLocked(/** @type {string} */ account) {
    const params = { account, type: 'escrow', ledger_index: 'validated', limit: 400 }
    for (const escrow of await readPages('account_objects', params, 'account_objects')) {
      if (book.payments.has(escrow.index)) continue
      const { Account: from, Destination: to, Amount: amount } = escrow
      const { Condition: condition, CancelAfter: expiry, PreviousTxnLgrSeq: madeIn } = escrow
      const terms = { from, to, amount, condition, expiry }
      book.enterPayment(escrow.index, { terms, madeIn })
    }
  }

  /** @type {(command: string, params: object, key: string) => Promise<any[]>} */
  async function readPages(command, params, key) {
    const found = []
    let marker
    do {
      /** @type {any} */
      const page = await ask(command, { ...params, marker }).catch(unless('actNotFound'))
      found.push(...(page?.[key] ?? []))
      marker = page?.marker
    } while (marker && found.length < MAX_PAYMENTS)
    return found
  }

  async function begin() {
    const streams = everything ? ['ledger', 'transactions'] : ['ledger']
    const status = await ask('subscribe', { streams, ...(!everything && { accounts: wanted }) })
    if (!status?.ledger_index) throw notALedger()
    await catchUp(status)
    const missed = waiting ?? []
    waiting = undefined
    for (const message of missed) enter(message)
    attempts = 0
    wasConnected = true
    say(`Connected to ${server}`, 'up')
    askBalances()
    draw()
  }

  // A connection can die without a word: one that does not even answer a ping is given up.
  const watchdog = setInterval(() => {
    const silence = Date.now() - heardAt
    if (silence > 2 * SILENCE_MS) lose()
    else if (silence > SILENCE_MS && socket.readyState === WebSocket.OPEN) ask('ping').catch(() => {})
  }, SILENCE_MS / 2)

  function lose(/** @type {any} */ reason = new Error(`No connection to ${server}`)) {
    clearInterval(watchdog)
    socket.onclose = socket.onmessage = null
    socket.close()
    attempts++
    const advice = isElsewhere
      ? ': is the address right, and does a ledger run there?'
      : '. If the ledger was stopped, start it: npm run ledger'
    if (reason.isFinal || (!wasConnected && attempts >= FIRST_ATTEMPTS)) {
      find('again').hidden = false
      return giveUp(reason.isFinal ? reason.message : reason.message + advice)
    }
    say(`${reason.message}; trying again${advice}`, 'down')
    const wait = Math.min(RETRY_MS.longest, RETRY_MS.first * 2 ** (attempts - 1))
    setTimeout(connect, wait * (0.75 + Math.random() / 2))
  }

  socket.onopen = () => begin().catch(lose)
  socket.onclose = () => lose()
  socket.onmessage = ({ data }) => {
    heardAt = Date.now()
    try {
      receive(JSON.parse(data))
    } catch {
      lose(notALedger())
    }
  }
}

// The page itself

if (!everything) {
  const all = element('a', '', isElsewhere ? 'Watch the ledger that this page is from' : 'Show all payments')
  all.href = location.pathname
  const chips = wanted.map(account => element('b', 'chip', nameOf(account)))
  find('filter').append('Only the payments of', ...chips, all)
  find('filter').hidden = false
  write(find('invitation'), 'No payment of these accounts yet.')
}
drawSpecimen()
find('pause').addEventListener('click', () => {
  isPaused = !isPaused
  find('pause').setAttribute('aria-pressed', String(isPaused))
  draw()
})
find('newer').addEventListener('click', () => {
  closeLanes()
  draw()
})
find('again').addEventListener('click', () => location.reload())
document.addEventListener('toggle', draw, true)

const malformed = wanted.find(account => !/^r[1-9A-HJ-NP-Za-km-z]{24,34}$/.test(account))
if (!/^wss?:\/\/[^#]+$/.test(server) || !URL.canParse(server))
  giveUp(`"${server}" is not the address of a server: that begins with ws:// or wss:// and has no # in it`)
else if (malformed) giveUp(`"${malformed}" is not an account: that is an r and 24 to 34 letters and digits`)
else if (isElsewhere && everything)
  giveUp(`Name the accounts to watch on ${server}: add &account=r… to this page's address`)
else connect()

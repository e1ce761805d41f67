import { LedgerView, maxColumns, maxPayments, readTerms, readTransaction } from './ledger-view.js'
import { drawSample, drawView, element, find, nameOf, sandboxAccounts, setText } from './render.js'

/** @import { Account } from './ledger-view.js' */

const maxHistoryLedgers = 180
const drawIntervalMs = 100
const retryDelayMs = 500 // doubles with each attempt
const maxRetryDelayMs = 15_000
const maxSilenceMs = 15_000
const testnet = 'wss://s.altnet.rippletest.net:51233'

// What to view: all accounts of the sandbox that served the page, or some accounts, here or on another server.
const query = new URLSearchParams(location.search)
const server = query.get('server') ?? location.origin.replace('http', 'ws')
const watched = query.getAll('account').flatMap(value => value.split(/[\s,]+/).filter(Boolean))
const isElsewhere = query.has('server')
const isFiltered = watched.length > 0

let view = new LedgerView(0)
let isPaused = false
let isDrawing = false
let attempts = 0

/** Draws once what comes in one ledger. */
function draw() {
  if (isDrawing) return
  isDrawing = true
  setTimeout(requestAnimationFrame, drawIntervalMs, () => {
    isDrawing = false
    if (!isPaused && view.since > 0) drawView(view)
  })
}

function setStatus(/** @type {string} */ text, state = '') {
  setText(find('status'), text)
  find('status').className = state
}

/** Shows a notice in place of the ledger. */
function showNotice(/** @type {string} */ text) {
  setStatus('Not connected', 'down')
  document.body.classList.add('stopped')
  setText(find('notice').firstElementChild, text)
}

class ServerError extends Error {
  constructor(/** @type {any} */ { error, error_message }) {
    super(error ? `${server} answers "${error_message ?? error}"` : `${server} is not an XRP Ledger server`)
    this.code = error
  }
}

/** Answers with nothing for one error of the server. */
const unless = (/** @type {string} */ code) => (/** @type {any} */ err) => {
  if (err.code !== code) throw err
}

function connect() {
  const socket = new WebSocket(server)
  /** @type {Map<unknown, { resolve(result: any): void, reject(err: Error): void }>} */
  const requests = new Map()
  /** @type {any[] | undefined} */
  let early = [] // messages of the streams while the history is being read
  let lastId = 0
  let lastMessageMs = Date.now()

  /** @returns {Promise<any>} */
  function request(/** @type {string} */ command, params = {}) {
    const id = ++lastId
    socket.send(JSON.stringify({ id, command, ...params }))
    return new Promise((resolve, reject) => requests.set(id, { resolve, reject }))
  }

  function receive(/** @type {any} */ message) {
    const pending = requests.get(message.id)
    requests.delete(message.id)
    if (pending && message.status === 'success') pending.resolve(message.result)
    else if (pending) pending.reject(new ServerError(message))
    else if (early) early.push(message)
    else addMessage(message)
  }

  function addMessage(/** @type {any} */ message) {
    if (message.type === 'ledgerClosed') view.addLedger(message.ledger_index, message.ledger_time)
    else if (message.type === 'transaction' && message.validated) addTransactions([message])
    for (const account of view.accounts.values()) if (!account.isRead) readAccount(account).then(draw, draw)
    draw()
  }

  function addTransactions(/** @type {any[]} */ messages) {
    const transactions = messages.flatMap(message => {
      try {
        return readTransaction(message)
      } catch {
        return [] // nothing that this page can show
      }
    })
    transactions.sort((a, b) => a.ledgerIndex - b.ledgerIndex || a.position - b.position)
    for (const transaction of transactions) view.addTransaction(transaction)
  }

  /** Reads the last ledgers into a new view. */
  async function readHistory(/** @type {any} */ { ledger_index: last, ledger_time, validated_ledgers }) {
    // Servers of today refuse a range that begins before their own ledgers.
    const oldest = Number(/(\d+)(?:-\d+)?$/.exec(validated_ledgers ?? '')?.[1] ?? 1)
    const first = Math.max(last - maxHistoryLedgers + 1, oldest)
    const range = { ledger_index_min: first, ledger_index_max: last, limit: 200 }
    const ledgers = isFiltered ? [] : await readLedgers(first, last)
    const read = (/** @type {string} */ account) =>
      readPages('account_tx', { account, ...range }, 'transactions')
    const histories = await Promise.all(watched.map(read))
    view = new LedgerView(ledgers[0]?.ledger_index ?? first, isFiltered)
    for (const address of isFiltered ? watched : sandboxAccounts) view.addAccount(address)
    addTransactions([...histories, ...ledgers.map(({ transactions }) => transactions)].flat())
    for (const { ledger_index, close_time } of ledgers) view.addLedger(ledger_index, close_time)
    view.addLedger(last, ledger_time)
    await Promise.all([...view.accounts.values()].map(readAccount))
  }

  /** Reads ledgers from the newest back, until enough of them have transactions; the oldest comes first. */
  async function readLedgers(/** @type {number} */ first, /** @type {number} */ last) {
    const ledgers = []
    for (let index = last, busy = 0; index >= first && busy < maxColumns; index--) {
      const params = { ledger_index: index, transactions: true, expand: true }
      const { ledger } = (await request('ledger', params).catch(unless('lgrNotFound'))) ?? {}
      if (!ledger) break
      const place = { ledger_index: index, date: ledger.close_time }
      const transactions = ledger.transactions.map((/** @type {object} */ item) => ({ ...item, ...place }))
      ledgers.unshift({ ledger_index: index, close_time: ledger.close_time, transactions })
      if (transactions.length > 0) busy++
    }
    return ledgers
  }

  /** Reads the balance of an account, and its escrows that were created before these ledgers. */
  async function readAccount(/** @type {Account} */ account) {
    account.isRead = true
    const params = { account: account.address, ledger_index: 'validated' }
    const info = await request('account_info', params).catch(unless('actNotFound'))
    account.isMissing = !info
    if (info && account.balance === undefined) view.setBalance(account.address, info.account_data.Balance)
    const escrows = { ...params, type: 'escrow', limit: 400 }
    for (const escrow of await readPages('account_objects', escrows, 'account_objects'))
      if (!view.payments.has(escrow.index))
        view.addPayment(escrow.index, { ...readTerms(escrow), createdIn: escrow.PreviousTxnLgrSeq })
  }

  /** @type {(command: string, params: object, key: string) => Promise<any[]>} */
  async function readPages(command, params, key) {
    const found = []
    let marker
    do {
      /** @type {any} */
      const page = await request(command, { ...params, marker }).catch(unless('actNotFound'))
      found.push(...(page?.[key] ?? []))
      marker = page?.marker
    } while (marker && found.length < maxPayments)
    return found
  }

  async function begin() {
    const transactions = isFiltered ? { accounts: watched } : { streams: ['ledger', 'transactions'] }
    const status = await request('subscribe', { streams: ['ledger'], ...transactions })
    if (!status?.ledger_index) throw new ServerError({})
    await readHistory(status)
    const messages = early ?? []
    early = undefined
    for (const message of messages) addMessage(message)
    attempts = 0
    setStatus(`Connected to ${server}`, 'up')
    draw()
  }

  // A connection can die without a close: one that does not even answer a ping is given up.
  const watchdog = setInterval(() => {
    const silenceMs = Date.now() - lastMessageMs
    if (silenceMs > 2 * maxSilenceMs) lose()
    else if (silenceMs > maxSilenceMs && socket.readyState === WebSocket.OPEN) request('ping').catch(() => {})
  }, maxSilenceMs / 2)

  function lose(/** @type {any} */ err = new Error(`No connection to ${server}`)) {
    clearInterval(watchdog)
    socket.onclose = socket.onmessage = null
    socket.close()
    const advice = isElsewhere
      ? ': check the address, and that a ledger server runs there'
      : '. If the ledger was stopped, start it: npm run ledger'
    setStatus(`${err.message}; trying again${advice}`, 'down')
    const delayMs = Math.min(maxRetryDelayMs, retryDelayMs * 2 ** attempts++)
    setTimeout(connect, delayMs * (0.75 + Math.random() / 2))
  }

  socket.onopen = () => begin().catch(lose)
  socket.onclose = () => lose()
  socket.onmessage = ({ data }) => {
    lastMessageMs = Date.now()
    try {
      receive(JSON.parse(data))
    } catch {
      lose(new ServerError({}))
    }
  }
}

// The page itself

/** Connects, or says what has to be different or confirmed first. */
function start() {
  const url = URL.canParse(server) ? new URL(server) : undefined
  const malformed = watched.find(account => !/^r[1-9A-HJ-NP-Za-km-z]{24,34}$/.test(account))
  if (!url || !/^wss?:$/.test(url.protocol) || url.username || server.includes('#'))
    showNotice(`"${server}" is not a server's address: use ws:// or wss://, without a user name or #`)
  else if (malformed)
    showNotice(`"${malformed}" is not an account's address: use an r and 24 to 34 letters and digits`)
  else if (isElsewhere && !isFiltered)
    showNotice(`Name the accounts to view on ${url.origin}: add &account=r… to this page's address`)
  else if (url.host === location.host || url.origin === testnet) connect()
  else {
    // Any page can link here, and a server on this machine may trust this page's origin.
    showNotice(`${url.origin} is neither this sandbox nor the XRP Testnet: connect only if you trust it`)
    find('connect').hidden = false
  }
}

find('connect').addEventListener('click', () => {
  document.body.classList.remove('stopped')
  connect()
})
find('pause').addEventListener('click', () => {
  isPaused = !isPaused
  find('pause').setAttribute('aria-pressed', String(isPaused))
  draw()
})
find('newer').addEventListener('click', () => {
  for (const details of find('list').querySelectorAll('details')) details.open = false
})
document.addEventListener('toggle', draw, true)

if (isFiltered) {
  const all = element('a', '', isElsewhere ? 'View the ledger that this page is from' : 'Show all payments')
  all.setAttribute('href', location.pathname)
  const names = watched.map(account => element('b', '', nameOf(account)))
  find('filter').append('Only the payments of', ...names, all)
  find('filter').hidden = false
  setText(find('invitation'), 'No payments of these accounts yet.')
}
find('legend').toggleAttribute('open', matchMedia('(min-width: 64rem)').matches)
drawSample()
start()

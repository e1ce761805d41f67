import { COLUMNS, dropsOf, RIPPLE_EPOCH, shortForm } from './book.js'

// Writing the book down. Whatever comes from the ledger enters the document as text only.

/** @import { Book, Entry, Payment } from './book.js' */
/** @typedef {[term: string, text: string | false | undefined]} Fact */

const SHOWN_LANES = 50
const APART = 4 // of one payer, to one address, in one ledger: more of them share a lane
const SHOWN_TOGETHER = 200 // of those that do

/** @type {Record<string, string>} the sandbox's accounts */
const names = { __proto__: null, ...JSON.parse(document.body.dataset.names ?? '{}') }
/** Whose keys everybody knows: the shop and the customer. */
export const sandboxAccounts = Object.keys(names).filter(address => names[address] !== 'genesis')

export const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id))
const number = (/** @type {number | bigint} */ value) => value.toLocaleString('en')
const count = (/** @type {number | bigint} */ value, /** @type {string} */ noun) =>
  `${number(value)} ${noun}${Number(value) === 1 ? '' : 's'}`
const short = (address = '') =>
  address.length > 12 ? `${address.slice(0, 5)}…${address.slice(-4)}` : address
export const nameOf = (address = '') => names[address] ?? short(address)
const whole = (address = '') => (names[address] ? `${names[address]}, ${address}` : address)
const between = (from = '', to = '') => (to ? `${nameOf(from)} to ${nameOf(to)}` : nameOf(from))
const xrp = (/** @type {bigint} */ drops) =>
  `${number(drops / 1_000_000n)}.${String(drops % 1_000_000n).padStart(6, '0')}`
const signed = (/** @type {bigint} */ value) =>
  value < 0n ? `−${number(-value)}` : value > 0n ? `+${number(value)}` : '0'

/** The ledger's time on the reader's clock; with the date if that is not today's. */
function clock(/** @type {number | undefined} */ time) {
  const date = new Date((Number(time) + RIPPLE_EPOCH) * 1000)
  if (Number.isNaN(date.getTime())) return 'a time unknown'
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? date.toLocaleTimeString('en-GB') : date.toLocaleString('en-GB')
}

function amountText(/** @type {any} */ amount) {
  if (amount === undefined) return ''
  if (typeof amount === 'object') return `${amount?.value} ${amount?.currency ?? 'tokens'}`
  const drops = dropsOf(amount)
  return drops < 1_000_000n ? count(drops, 'drop') : `${xrp(drops).replace(/\.?0+$/, '')} XRP`
}

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {(string | Node)[]} children
 */
export function element(name, className = '', ...children) {
  const node = document.createElement(name)
  if (className) node.className = className
  node.append(...children)
  return node
}

function drawing(/** @type {string} */ name, /** @type {Record<string, string>} */ attributes) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value)
  return node
}

/** Gives a node these children, and does not move what stays: it would lose its focus. */
function arrange(/** @type {Element} */ parent, /** @type {Element[]} */ children) {
  const keep = new Set(children)
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove()
  let at = parent.firstElementChild
  for (const child of children) {
    if (child === at) at = at.nextElementSibling
    else parent.insertBefore(child, at)
  }
}

export function write(/** @type {Element | null | undefined} */ node, /** @type {string} */ text) {
  if (node && node.textContent !== text) node.textContent = text
}

function set(/** @type {Element} */ node, /** @type {string} */ name, /** @type {string} */ value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value)
}

/** What is open stays where it is: what is new waits until it is closed. */
const isHeld = (/** @type {Element} */ list) => list.querySelector('details[open]') !== null

function factList(/** @type {Fact[]} */ facts) {
  const list = element('dl', 'facts')
  for (const [term, text] of facts) if (text) list.append(element('dt', '', term), element('dd', '', text))
  return list
}

/** @returns {Fact[]} */
const entryFacts = (/** @type {Entry} */ entry) => [
  ['Ledger', `${number(entry.ledgerIndex)} at ${clock(entry.time)}`],
  ['Sent by', whole(entry.account)],
  ['Fee', count(entry.fee, 'drop')],
  ['Fulfillment', shortForm(entry.fulfillment)],
  ['ILP packet', entry.packet && `${number(entry.packet.amount)} for ${entry.packet.address}`],
  ...entry.memos.map(({ type, data }) => /** @type {Fact} */ (['Memo', `${type}\n${data}`])),
  ['Transaction', entry.hash],
  ['Result', entry.result !== 'tesSUCCESS' && entry.result]
]

function paymentFacts(/** @type {Payment} */ { terms, made, madeIn, ended }) {
  const { from, to, amount, condition, expiry } = terms
  const parts = [
    factList([
      ['Amount', amountText(amount)],
      ['From', whole(from)],
      ['To', whole(to)],
      ['Lock (condition)', shortForm(condition)],
      ['Goes back', expiry !== undefined && `from ${clock(expiry)} on`]
    ]),
    element('h3', 'made', 'Made'),
    factList(made ? entryFacts(made) : [['Ledger', number(madeIn)]])
  ]
  if (ended) {
    const title = `${ended.kind === 'returned' ? 'Returned' : 'Fulfilled'}, ${tookText([{ ended, madeIn }])}`
    parts.push(element('h3', ended.kind, title), factList(entryFacts(ended)))
  }
  return element('div', 'content', ...parts)
}

const ledgersTaken = (/** @type {Pick<Payment, 'madeIn' | 'ended'>[]} */ payments) =>
  payments.flatMap(({ madeIn, ended }) => (ended ? ended.ledgerIndex - madeIn : [])).sort((a, b) => a - b)

function tookText(/** @type {Pick<Payment, 'madeIn' | 'ended'>[]} */ payments) {
  const took = ledgersTaken(payments)
  const [least = 0, most = least] = [took[0], took.at(-1)]
  return least === most ? count(most, 'ledger') : `${number(least)}–${count(most, 'ledger')}`
}

/** What has become of payments that were made together, as a word for the style and one for the reader. */
function stateOf(/** @type {Payment[]} */ payments, /** @type {number} */ lastIndex) {
  const total = payments.length
  const locked = payments.filter(({ ended }) => !ended).length
  const returned = payments.filter(({ ended }) => ended?.kind === 'returned').length
  const age = lastIndex - (payments[0]?.madeIn ?? lastIndex)
  const some = (/** @type {number} */ part) =>
    total === 1 ? '' : `${part < total ? `${part} of ` : ''}${total} `
  if (locked) return ['made', `${some(locked)}locked${age > 0 ? `, ${count(age, 'ledger')}` : ''}`]
  if (returned) return ['returned', `${some(returned)}returned, ${tookText(payments)}`]
  return ['fulfilled', `${some(total)}fulfilled, ${tookText(payments)}`]
}

/** @typedef {ReturnType<typeof axisOf>} Axis */

/** Where each ledger is in a drawing, the newest at the right. */
function axisOf(/** @type {Book} */ book) {
  const columns = book.columns()
  const first = columns[0]?.first ?? 0
  const offset = COLUMNS - columns.length
  const quiet = columns.map(({ first, last }, at) => (last > first ? `M${(offset + at) * 10 + 5} 0V60` : ''))
  return {
    first,
    last: book.last.index,
    quiet: quiet.join(''),
    x(/** @type {number} */ index) {
      if (index < first) return -20
      const at = columns.findIndex(({ last }) => index <= last)
      return (at < 0 ? COLUMNS : offset + at) * 10 + 5
    }
  }
}

/** The paths of a lane: what is locked, as high as there is of it, between what was made and what ended. */
function lanePaths(/** @type {Payment[]} */ payments, /** @type {Axis} */ { x, quiet }) {
  const total = payments.length
  const high = total === 1 ? 0 : 7
  const madeIn = payments[0]?.madeIn ?? 0
  const stroke = (/** @type {number} */ at, /** @type {number} */ part) =>
    part > 0 ? `M${at} ${10 - (high * part) / total}V${10.01 + (high * part) / total}` : ''
  const paths = { quiet, locked: '', made: stroke(x(madeIn), total), fulfilled: '', returned: '' }
  let from = x(madeIn)
  let locked = total
  const band = (/** @type {number} */ to) => {
    const half = Math.max(1, (high * locked) / total)
    paths.locked += `M${from} ${10 - half}H${to}V${10 + half}H${from}z`
    from = to
  }
  const ended = payments.filter(payment => payment.ended)
  const ends = Map.groupBy(ended, payment => Number(payment.ended?.ledgerIndex))
  for (const [index, group] of [...ends].sort(([a], [b]) => a - b)) {
    // Made stands before fulfilled, even within one ledger.
    const at = x(index) + (index === madeIn ? 4 : 0)
    const returned = group.filter(({ ended }) => ended?.kind === 'returned').length
    band(at)
    paths.fulfilled += stroke(at, group.length - returned)
    paths.returned += stroke(at, returned)
    locked -= group.length
  }
  if (locked) band(COLUMNS * 10)
  return paths
}

const laneParts = ['quiet', 'locked', 'made', 'fulfilled', 'returned']
const laneBox = { viewBox: `0 0 ${COLUMNS * 10} 20`, preserveAspectRatio: 'none', 'aria-hidden': 'true' }

function drawPaths(/** @type {Element} */ svg, /** @type {Record<string, string>} */ paths) {
  for (const name of laneParts) {
    const path = svg.querySelector(`.${name}`) ?? svg.appendChild(drawing('path', { class: name }))
    set(path, 'd', paths[name] ?? '')
  }
}

const sumOf = (/** @type {Payment[]} */ payments) =>
  payments.reduce((sum, { terms }) => sum + dropsOf(terms.amount), 0n)

function numbersOf(/** @type {Payment[]} */ payments) {
  const numbers = payments.flatMap(({ made }) => made?.packet?.paymentId ?? []).map(Number)
  if (numbers.length < payments.length) return payments.length === 1 ? 'escrow' : 'escrows'
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)]
  return least === most ? `#${least}` : `#${least}–${most}`
}

/** A line of the list: a payment, or the many that were made together. */
class Lane {
  #number = element('span', 'number')
  #who = element('span', 'who')
  #state = element('span')
  #amount = element('span', 'amount')
  #svg = drawing('svg', laneBox)
  #texts = [this.#number, ' ', this.#who, ' ', this.#svg, this.#state, ' ', this.#amount]
  #summary = element('summary', 'row', ...this.#texts)
  #details = element('details', '', this.#summary)
  #together = new LaneList(element('ol'))
  #facts = ''
  item = element('li', '', this.#details)

  constructor(/** @type {Payment[]} */ payments, /** @type {Axis} */ axis) {
    this.payments = payments
    this.axis = axis
    this.#details.addEventListener('toggle', () => this.draw())
  }

  draw(axis = this.axis, payments = this.payments) {
    const [payment] = Object.assign(this, { axis, payments }).payments
    if (!payment) return
    const { terms, made, ended } = payment
    const isOne = payments.length === 1
    const [state = '', text = ''] = stateOf(payments, axis.last)
    write(this.#number, numbersOf(payments))
    write(this.#who, between(terms.from, terms.to))
    write(this.#state, text)
    write(this.#amount, amountText(isOne ? terms.amount : sumOf(payments)))
    set(this.#state, 'class', `state ${state}`)
    set(this.#svg, 'class', state)
    drawPaths(this.#svg, lanePaths(payments, axis))

    if (!this.#details.open) return
    if (!isOne) {
      this.#details.append(...(this.#together.list.parentNode ? [] : [this.#together.list]))
      this.#together.draw(axis, new Map(payments.slice(0, SHOWN_TOGETHER).map(one => [one.id, [one]])))
    } else if (this.#facts !== `${made?.hash} ${ended?.hash}`) {
      this.#facts = `${made?.hash} ${ended?.hash}`
      this.#details.replaceChildren(this.#summary, paymentFacts(payment))
    }
  }
}

class LaneList {
  /** @type {Map<string, Lane>} */
  lanes = new Map()

  constructor(/** @type {Element} */ list) {
    this.list = list
  }

  draw(/** @type {Axis} */ axis, /** @type {Map<string, Payment[]>} */ wanted) {
    const before = this.lanes
    this.lanes = new Map()
    for (const [key, payments] of wanted) {
      const lane = before.get(key) ?? new Lane(payments, axis)
      lane.draw(axis, payments)
      this.lanes.set(key, lane)
    }
    const items = [...this.lanes.values()].map(({ item }) => item)
    arrange(this.list, items)
  }
}

/** The payments as the list has them: the newest first, the many that were made together as one. */
function lanesOf(/** @type {Book} */ book, /** @type {Axis} */ { first }) {
  const shown = [...book.payments.values()].filter(({ ended }) => !ended || ended.ledgerIndex >= first)
  const together = Map.groupBy(shown, ({ madeIn, terms, made }) =>
    [madeIn, terms.from, terms.to, made?.packet?.client].join()
  )
  const position = (/** @type {Payment} */ { made }) => made?.position ?? 0
  const newestFirst = [...together].sort(([, [a]], [, [b]]) => Number(b?.madeIn) - Number(a?.madeIn))
  /** @type {Map<string, Payment[]>} */
  const lanes = new Map()
  for (const [key, payments] of newestFirst) {
    payments.sort((a, b) => position(b) - position(a))
    if (payments.length > APART) lanes.set(key, payments)
    else for (const payment of payments) lanes.set(payment.id, [payment])
    if (lanes.size >= SHOWN_LANES) break
  }
  return lanes
}

const list = new LaneList(find('list'))
let madeWhenShown = 0

function drawPayments(/** @type {Book} */ book, /** @type {Axis} */ axis) {
  const made = book.totals.made.count
  if (isHeld(list.list)) for (const lane of list.lanes.values()) lane.draw(axis)
  else {
    madeWhenShown = made
    list.draw(axis, lanesOf(book, axis))
  }
  find('payments').classList.toggle('empty', list.lanes.size === 0)
  find('newer').classList.toggle('none', made <= madeWhenShown)
  write(find('newer'), `Close, and show ${number(made - madeWhenShown)} newer`)
}

function drawPlot(/** @type {Book} */ book, /** @type {Axis} */ { x, quiet, first }) {
  const ledgers = [...book.ledgers.values()].filter(({ index }) => index >= first)
  const heights = ledgers.map(({ made, fulfilled, returned }) => Math.max(made, fulfilled + returned))
  const tallest = Math.max(1, ...heights)
  /** @type {Record<string, string>} */
  const paths = { quiet }
  for (const kind of /** @type {const} */ (['made', 'fulfilled', 'returned'])) {
    const bars = ledgers.map(({ index, fulfilled, [kind]: size }) => {
      const from = kind === 'returned' ? fulfilled : 0
      const [start, end] = [from, kind === 'made' ? -size : from + size].map(at => 30 + (at * 28) / tallest)
      return size > 0 ? `M${x(index) - 3.5} ${start}h7V${end}h-7z` : ''
    })
    paths[kind] = bars.join('')
    write(find(`bar-${kind}`), number(ledgers.reduce((sum, { [kind]: size }) => sum + size, 0)))
  }
  drawPaths(find('plot'), paths)
  const time = book.ledgers.get(first)?.time
  write(find('plot-first'), time ? `${number(first)} at ${clock(time)}` : number(first))
  write(find('plot-last'), `ledger ${number(book.last.index)}`)
}

function figure(/** @type {string} */ id, /** @type {string} */ value, note = '') {
  const [strong, small] = find(id).children
  write(strong, value)
  write(small, note)
}

function drawFigures(/** @type {Book} */ book) {
  const payments = [...book.payments.values()]
  const locked = payments.filter(({ ended }) => !ended)
  figure('locked', count(locked.length, 'payment'), amountText(sumOf(locked)))

  // The pace since the first payment of the last ledgers, by the ledgers' time.
  const recent = [...book.ledgers.values()].filter(({ index }) => index > book.last.index - COLUMNS)
  const start = recent.sort((a, b) => a.index - b.index).find(({ made }) => made > 0)
  const seconds = book.last.time - Number(start?.time)
  const made = recent.reduce((sum, { made }) => sum + made, 0) - Number(start?.made)
  const pace = `${number(Number((made / seconds).toFixed(1)))} a second`
  if (seconds > 0) figure('rhythm', pace, `in the last ${count(seconds, 'second')}`)
  else figure('rhythm', '–')

  const took = ledgersTaken(payments.filter(({ ended }) => ended?.kind === 'fulfilled'))
  const [least = 0, most = least, middle] = [took[0], took.at(-1), took[took.length >> 1]]
  const range = least === most ? 'each of' : `${number(least)} to ${number(most)} in`
  if (middle === undefined) figure('latency', '–')
  else figure('latency', count(middle, 'ledger'), `${range} the last ${number(took.length)}`)

  const fees = book.totals.made.fees + book.totals.fulfilled.fees + book.totals.returned.fees
  const price = Number(fees) / Number(book.totals.fulfilled.drops)
  const drops = Number.isFinite(price) ? count(Number(price.toPrecision(2)), 'drop') : '–'
  figure('price', drops, `${count(fees, 'drop')} in all`)
}

function drawTotals(/** @type {Book} */ book) {
  write(find('since'), number(book.since))
  for (const [kind, { count, drops, fees }] of Object.entries(book.totals)) {
    const cells = document.querySelectorAll(`[data-kind=${kind}] td`)
    for (const [at, value] of [count, drops, fees].entries())
      write(cells[at], kind === 'other' && value === drops ? '' : number(value))
  }
}

/** @typedef {(accounts: string[]) => string} LinkTo */
/** @type {Map<string, HTMLElement>} */
const accountItems = new Map()

function accountItem(/** @type {string} */ address, /** @type {string} */ link) {
  const only = element('a', '', 'Only its payments')
  only.href = link
  const [balance, change] = [element('span', 'amount'), element('span', 'amount')]
  const summary = element('summary', '', element('span', 'who', nameOf(address)), ' ', balance, ' ', change)
  const content = [element('p', 'key', address), element('p', '', only)]
  return element('li', '', element('details', '', summary, ...content))
}

function drawAccounts(/** @type {Book} */ { accounts }, /** @type {LinkTo} */ linkTo) {
  const items = [...accounts.values()].map(({ address, balance, first = balance, isMissing }) => {
    const item = accountItems.get(address) ?? accountItem(address, linkTo([address]))
    accountItems.set(address, item)
    const [money, change] = item.querySelectorAll('.amount')
    write(money, balance === undefined ? (isMissing ? 'not on this ledger' : '…') : xrp(balance))
    write(change, balance === undefined ? '' : signed(balance - (first ?? 0n)))
    return item
  })
  arrange(find('accounts'), items)
}

/** @type {WeakMap<Entry, HTMLElement>} */
const otherItems = new WeakMap()

function otherItem(/** @type {Entry} */ entry) {
  const { type, result, account, to, amount } = entry
  const what = element('span', 'who', element('b', '', type), ` ${between(account, to)} `)
  if (result !== 'tesSUCCESS') what.append(element('span', 'key returned', result))
  const summary = element('summary', '', what, ' ', element('span', 'amount', amountText(amount)))
  const facts = factList([['To', whole(to)], ...entryFacts(entry)])
  return element('li', '', element('details', '', summary, facts))
}

function drawOthers(/** @type {Book} */ { others }) {
  find('no-others').hidden = others.length > 0
  if (isHeld(find('others'))) return
  const items = others.map(entry => {
    const item = otherItems.get(entry) ?? otherItem(entry)
    otherItems.set(entry, item)
    return item
  })
  arrange(find('others'), items)
}

/** Draws what lanes will look like, for a page without any. */
export function drawSpecimen() {
  const [to, from] = sandboxAccounts
  const ledgers = Array.from({ length: 14 }, (_, at) => COLUMNS - 1 - at)
  const payments = ledgers.map((madeIn, at) => {
    const ended = at > 1 && {
      kind: at === 9 ? 'returned' : 'fulfilled',
      ledgerIndex: madeIn + (at % 3 ? 1 : 2)
    }
    const made = { packet: { paymentId: ledgers.length - at } }
    return /** @type {any} */ ({ id: `${at}`, terms: { from, to, amount: '10' }, madeIn, made, ended })
  })
  const axis = { first: 0, last: COLUMNS - 1, quiet: '', x: (/** @type {number} */ index) => index * 10 + 5 }
  new LaneList(find('specimen')).draw(axis, new Map(payments.map(payment => [payment.id, [payment]])))
}

export function drawBook(/** @type {Book} */ book, /** @type {LinkTo} */ linkTo) {
  write(find('latest'), `Ledger ${number(book.last.index)} closed at ${clock(book.last.time)}`)
  const axis = axisOf(book)
  drawFigures(book)
  drawPlot(book, axis)
  drawPayments(book, axis)
  drawTotals(book)
  drawAccounts(book, linkTo)
  drawOthers(book)
}

/** Closes what is open in the list, so that it goes on. */
export function closeLanes() {
  for (const details of find('list').querySelectorAll('details')) details.open = false
}

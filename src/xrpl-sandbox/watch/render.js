import { dropsOf, maxColumns, rippleEpoch, shortForm } from './ledger-view.js'

// Writes a LedgerView into the document. What comes from the ledger enters it as text only.

/** @import { LedgerView, Payment, Transaction } from './ledger-view.js' */
/** @typedef {[term: string, text: string | false | undefined]} Fact */

const maxLanes = 50
const groupAbove = 4 // payments between the same two in one ledger: more of them share a lane
const maxLines = 20 // that such a lane is drawn with
const maxGrouped = 200 // that an open group shows

/** @type {Record<string, string>} the sandbox's accounts */
const names = { __proto__: null, ...JSON.parse(document.body.dataset.names ?? '{}') }
/** The accounts of the tutorial: the shop and the customer. */
export const sandboxAccounts = Object.keys(names).filter(address => names[address] !== 'genesis')

export const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id))
const number = (/** @type {number | bigint} */ value) => value.toLocaleString('en')
const count = (/** @type {number | bigint} */ value, /** @type {string} */ noun) =>
  `${number(value)} ${noun}${Number(value) === 1 ? '' : 's'}`
const short = (/** @type {string} */ text) => text.replace(/^(.{5}).{4,}(.{4})$/, '$1…$2')
export const nameOf = (address = '') => names[address] ?? short(address)
const whole = (address = '') => (names[address] ? `${names[address]}, ${address}` : address)
const between = (from = '', to = '') => (to ? `${nameOf(from)} to ${nameOf(to)}` : nameOf(from))
const xrp = (/** @type {bigint} */ drops) =>
  `${number(drops / 1_000_000n)}.${String(drops % 1_000_000n).padStart(6, '0')}`
const signed = (/** @type {bigint} */ value) =>
  value < 0n ? `−${number(-value)}` : value > 0n ? `+${number(value)}` : '0'

/** The ledger's time on the reader's clock, with the date unless that is today's. */
function clock(/** @type {number | undefined} */ time) {
  const date = new Date((Number(time) + rippleEpoch) * 1000)
  if (Number.isNaN(date.getTime())) return 'an unknown time'
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? date.toLocaleTimeString('en-GB') : date.toLocaleString('en-GB')
}

function amountText(/** @type {any} */ amount) {
  if (amount === undefined) return ''
  if (typeof amount === 'object') return `${amount?.value} ${amount?.currency ?? 'tokens'}`
  const drops = dropsOf(amount)
  return drops < 1_000_000n ? count(drops, 'drop') : `${xrp(drops).replace(/\.?0+$/, '')} XRP`
}

/** @type {(name: string, className: string, ...children: (string | Node)[]) => HTMLElement} */
export function element(name, className, ...children) {
  const node = document.createElement(name)
  node.className = className
  node.append(...children)
  return node
}

export function setText(/** @type {Element | null | undefined} */ node, /** @type {string} */ text) {
  if (node && node.textContent !== text) node.textContent = text
}

// Set what the elements of these classes inside a node show.
function setTexts(/** @type {Element} */ node, /** @type {Record<string, string>} */ texts) {
  for (const [name, text] of Object.entries(texts)) setText(node.querySelector(`.${name}`), text)
}

function setPaths(/** @type {Element} */ node, /** @type {Record<string, string>} */ paths) {
  for (const [name, path] of Object.entries(paths))
    node.querySelector(`path.${name}`)?.setAttribute('d', path)
}

/**
 * Gives a list a child for each item. What stays is not moved, since it would lose its focus.
 *
 * @template Item
 * @param {Element} list
 * @param {Map<string, Item>} items
 * @param {string} template the id of the template for new children
 * @param {(child: HTMLElement, item: Item) => void} update
 */
function reconcileChildren(list, items, template, update) {
  const children = /** @type {HTMLElement[]} */ ([...list.children])
  const before = new Map(children.map(child => [child.dataset.key, child]))
  for (const child of children) if (!items.has(`${child.dataset.key}`)) child.remove()
  const { content } = /** @type {HTMLTemplateElement} */ (find(template))
  let next = list.firstElementChild
  for (const [key, item] of items) {
    const child = before.get(key) ?? /** @type {HTMLElement} */ (content.firstElementChild?.cloneNode(true))
    child.dataset.key = key
    update(child, item)
    if (child === next) next = child.nextElementSibling
    else list.insertBefore(child, next)
  }
}

/** A list with open details keeps its children: new ones wait until they are closed. */
const hasOpenDetails = (/** @type {Element} */ list) => list.querySelector('details[open]') !== null

function factList(/** @type {Fact[]} */ facts) {
  const list = element('dl', 'facts')
  for (const [term, text] of facts) if (text) list.append(element('dt', '', term), element('dd', '', text))
  return list
}

/** @returns {Fact[]} */
const transactionFacts = (/** @type {Transaction} */ { packet, fulfillment, memos, ...transaction }) => [
  ['Ledger', `${number(transaction.ledgerIndex)} at ${clock(transaction.time)}`],
  ['Sender', whole(transaction.account)],
  ['Fee', count(transaction.fee, 'drop')],
  ['Fulfillment', shortForm(fulfillment)],
  ['ILP packet', packet && `${number(packet.amount)} for ${packet.address}`],
  ...memos.map(({ type, data }) => /** @type {Fact} */ (['Memo', `${type}\n${data}`])),
  ['Transaction', transaction.hash],
  ['Result', transaction.result !== 'tesSUCCESS' && transaction.result]
]

function paymentFacts(/** @type {Payment} */ payment) {
  const { from, to, amount, condition, expiry, created, createdIn, ended } = payment
  const terms = factList([
    ['Amount', amountText(amount)],
    ['From', whole(from)],
    ['To', whole(to)],
    ['Condition', shortForm(condition)],
    ['Expires', expiry !== undefined && `at ${clock(expiry)}`]
  ])
  const creation = factList(created ? transactionFacts(created) : [['Ledger', number(createdIn)]])
  const parts = [terms, element('h3', 'created', 'Created'), creation]
  if (ended) {
    const title = `${ended.kind === 'canceled' ? 'Canceled' : 'Fulfilled'}, ${settlementText([payment])}`
    parts.push(element('h3', ended.kind, title), factList(transactionFacts(ended)))
  }
  return parts
}

/** How many ledgers the payments took to end, fewest first. */
function settlementLedgers(/** @type {Payment[]} */ payments) {
  const ledgers = payments.flatMap(({ createdIn, ended }) => (ended ? ended.ledgerIndex - createdIn : []))
  return ledgers.sort((a, b) => a - b)
}

function settlementText(/** @type {Payment[]} */ payments) {
  const ledgers = settlementLedgers(payments)
  const [least = 0, most = least] = [ledgers[0], ledgers.at(-1)]
  return least === most ? count(most, 'ledger') : `${number(least)}–${count(most, 'ledger')}`
}

/** The state of payments that were created together: a class, and a text. */
function stateOf(/** @type {Payment[]} */ payments, /** @type {number} */ lastIndex) {
  const total = payments.length
  const locked = payments.filter(({ ended }) => !ended).length
  const canceled = payments.filter(({ ended }) => ended?.kind === 'canceled').length
  const age = lastIndex - (payments[0]?.createdIn ?? lastIndex)
  const some = (/** @type {number} */ part) =>
    total === 1 ? '' : `${part < total ? `${part} of ` : ''}${total} `
  if (locked) return ['created', `${some(locked)}locked${age > 0 ? `, ${count(age, 'ledger')}` : ''}`]
  if (canceled) return ['canceled', `${some(canceled)}canceled, ${settlementText(payments)}`]
  return ['fulfilled', `${some(total)}fulfilled, ${settlementText(payments)}`]
}

/** @typedef {ReturnType<typeof axisOf>} Axis */

/** Where each ledger is in a drawing, the newest at the right. */
function axisOf(/** @type {LedgerView} */ view) {
  const columns = view.columns()
  const [first = 0] = columns
  const columnOf = (/** @type {number} */ index) => columns.findLastIndex(start => start <= index)
  const x = (/** @type {number} */ index) =>
    index < first ? -20 : (maxColumns - columns.length + columnOf(index)) * 10 + 5
  const { index: last } = view.last
  const quiet = columns.filter((start, at) => (columns[at + 1] ?? last + 1) > start + 1)
  return { first, last, x, quiet: quiet.map(start => `M${x(start)} 0V60`).join('') }
}

/** The paths of a lane: a line for each payment, or for an even choice of many, from its creation to its end. */
function lanePaths(/** @type {Payment[]} */ payments, /** @type {Axis} */ { x, quiet }) {
  const step = Math.ceil(payments.length / maxLines)
  const shown = payments.filter((_, at) => at % step === 0)
  const paths = { quiet, locked: '', created: '', fulfilled: '', canceled: '', other: '' }
  for (const [at, { createdIn, ended }] of shown.entries()) {
    const y = 3 + (14 * (at + 0.5)) / shown.length
    const from = x(createdIn)
    // Even within one ledger an escrow is created before it ends.
    const to = ended ? x(ended.ledgerIndex) + (ended.ledgerIndex === createdIn ? 4 : 0) : maxColumns * 10
    paths.locked += `M${from} ${y}H${to}`
    paths.created += `M${from} ${y}h.01`
    if (ended) paths[ended.kind] += `M${to} ${y}h.01`
  }
  return paths
}

const sumOf = (/** @type {Payment[]} */ payments) =>
  payments.reduce((sum, { amount }) => sum + dropsOf(amount), 0n)

function numbersOf(/** @type {Payment[]} */ payments) {
  const numbers = payments.flatMap(({ created }) => created?.packet?.paymentId ?? []).map(Number)
  if (numbers.length < payments.length) return payments.length === 1 ? 'escrow' : 'escrows'
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)]
  return least === most ? `#${least}` : `#${least}–${most}`
}

/** @type {(list: Element, lanes: Map<string, Payment[]>, axis: Axis) => void} */
function drawLanes(list, lanes, axis) {
  reconcileChildren(list, lanes, 'lane', (lane, payments) => drawLane(lane, payments, axis))
}

/** @type {(lane: Element, payments: Payment[], axis: Axis) => void} */
function drawLane(lane, payments, axis) {
  const [details, summary, facts, group] = lane.querySelectorAll('details, summary, .content, ol')
  const [payment] = payments
  if (!(details instanceof HTMLDetailsElement) || !summary || !facts || !group || !payment) return
  const isOne = payments.length === 1
  const [state = '', text = ''] = stateOf(payments, axis.last)
  summary.className = `row ${state}`
  const amount = amountText(isOne ? payment.amount : sumOf(payments))
  const who = between(payment.from, payment.to)
  setTexts(summary, { number: numbersOf(payments), who, state: text, amount })
  setPaths(summary, lanePaths(payments, axis))

  const drawDetails = () => {
    if (!details.open) return
    if (!isOne) drawLanes(group, new Map(payments.slice(0, maxGrouped).map(one => [one.id, [one]])), axis)
    else if (facts.childElementCount < (payment.ended ? 5 : 3))
      facts.replaceChildren(...paymentFacts(payment))
  }
  details.ontoggle = drawDetails
  drawDetails()
}

/** The lanes of the list, newest first; many payments that were created together share one. */
function groupPayments(/** @type {LedgerView} */ view, /** @type {number} */ first) {
  const shown = [...view.payments.values()].filter(({ ended }) => !ended || ended.ledgerIndex >= first)
  const groups = Map.groupBy(shown, ({ createdIn, from, to, created }) =>
    [createdIn, from, to, created?.packet?.client].join()
  )
  const position = (/** @type {Payment} */ { created }) => created?.position ?? 0
  const newestFirst = [...groups].sort(([, [a]], [, [b]]) => Number(b?.createdIn) - Number(a?.createdIn))
  /** @type {Map<string, Payment[]>} */
  const lanes = new Map()
  for (const [key, payments] of newestFirst) {
    payments.sort((a, b) => position(b) - position(a))
    if (payments.length > groupAbove) lanes.set(key, payments)
    else for (const payment of payments) lanes.set(payment.id, [payment])
    if (lanes.size >= maxLanes) break
  }
  return lanes
}

/** @type {Map<string, Payment[]>} */
let lanes = new Map()
let createdWhenListed = 0

function drawPayments(/** @type {LedgerView} */ view, /** @type {Axis} */ axis) {
  const created = view.totals.created.count
  if (!hasOpenDetails(find('list'))) {
    createdWhenListed = created
    lanes = groupPayments(view, axis.first)
  }
  drawLanes(find('list'), lanes, axis)
  find('payments').classList.toggle('empty', lanes.size === 0)
  find('newer').hidden = created <= createdWhenListed
  setText(find('newer'), `Close details, show ${number(created - createdWhenListed)} newer`)
}

function drawPlot(/** @type {LedgerView} */ view, /** @type {Axis} */ { x, quiet, first }) {
  const ledgers = [...view.ledgers.values()].filter(({ index }) => index >= first)
  const heights = ledgers.map(({ created, fulfilled, canceled }) => Math.max(created, fulfilled + canceled))
  const scale = 28 / Math.max(1, ...heights)
  const bar = (/** @type {number} */ index, /** @type {number} */ from, /** @type {number} */ height) =>
    height === 0 ? '' : `M${x(index) - 3.5} ${30 + from * scale}h7v${height * scale}h-7z`
  const paths = { quiet, created: '', fulfilled: '', canceled: '' }
  for (const { index, created, fulfilled, canceled } of ledgers) {
    paths.created += bar(index, 0, -created)
    paths.fulfilled += bar(index, 0, fulfilled)
    paths.canceled += bar(index, fulfilled, canceled)
  }
  setPaths(find('plot'), paths)
  for (const kind of /** @type {const} */ (['created', 'fulfilled', 'canceled']))
    setText(find(`sum-${kind}`), number(ledgers.reduce((sum, ledger) => sum + ledger[kind], 0)))
  const time = view.ledgers.get(first)?.time
  setText(find('plot-first'), time ? `${number(first)} at ${clock(time)}` : number(first))
  setText(find('plot-last'), `ledger ${number(view.last.index)}`)
}

function setFigure(/** @type {string} */ id, /** @type {string} */ value, note = '') {
  const [strong, small] = find(id).children
  setText(strong, value)
  setText(small, note)
}

function drawFigures(/** @type {LedgerView} */ view) {
  const payments = [...view.payments.values()]
  const locked = payments.filter(({ ended }) => !ended)
  setFigure('locked', count(locked.length, 'payment'), amountText(sumOf(locked)))

  // Since the first payment of the last ledgers, by the ledgers' time.
  const recent = [...view.ledgers.values()].filter(({ index }) => index > view.last.index - maxColumns)
  const [start, ...later] = recent.filter(({ created }) => created > 0).sort((a, b) => a.index - b.index)
  const seconds = view.last.time - Number(start?.time)
  const created = later.reduce((sum, { created }) => sum + created, 0)
  const rate = `${number(Number((created / seconds).toFixed(1)))} a second`
  if (seconds > 0) setFigure('rate', rate, `in the last ${count(seconds, 'second')}`)
  else setFigure('rate', '–')

  const ledgers = settlementLedgers(payments.filter(({ ended }) => ended?.kind === 'fulfilled'))
  const [least = 0, most = least, median] = [ledgers[0], ledgers.at(-1), ledgers[ledgers.length >> 1]]
  const range = least === most ? 'each of' : `${number(least)} to ${number(most)} in`
  if (median === undefined) setFigure('settlement', '–')
  else setFigure('settlement', count(median, 'ledger'), `${range} the last ${number(ledgers.length)}`)

  const { totals } = view
  const total = count(totals.created.fees + totals.fulfilled.fees + totals.canceled.fees, 'drop')
  const each = [totals.created, totals.fulfilled].map(({ fees, count }) => Math.round(Number(fees) / count))
  const sum = Number(each[0]) + Number(each[1])
  setFigure('fees', Number.isFinite(sum) ? count(sum, 'drop') : '–', `${total} in total`)
}

function drawTotals(/** @type {LedgerView} */ view) {
  setText(find('since'), number(view.since))
  for (const [kind, { count, drops, fees }] of Object.entries(view.totals)) {
    const shownDrops = kind === 'other' ? '' : number(drops)
    setTexts(find(`total-${kind}`), { count: number(count), drops: shownDrops, fees: number(fees) })
  }
}

function drawAccounts(/** @type {LedgerView} */ { accounts }) {
  reconcileChildren(find('accounts'), accounts, 'account', (item, account) => {
    const { address, balance = 0n, first = balance } = account
    const search = new URLSearchParams(location.search)
    search.set('account', address)
    item.querySelector('a')?.setAttribute('href', `?${search}`)
    setTexts(item, { who: nameOf(address), key: address })
    if (account.balance === undefined)
      setTexts(item, { balance: account.isMissing ? 'not on this ledger' : '…' })
    else setTexts(item, { balance: xrp(balance), change: signed(balance - first) })
  })
}

function drawOthers(/** @type {LedgerView} */ { others }) {
  find('no-others').hidden = others.length > 0
  if (hasOpenDetails(find('others'))) return
  const items = new Map(others.map(transaction => [transaction.hash, transaction]))
  reconcileChildren(find('others'), items, 'other', (item, transaction) => {
    const { type, account, to } = transaction
    const result = transaction.result === 'tesSUCCESS' ? '' : transaction.result
    setTexts(item, { type, who: between(account, to), result, amount: amountText(transaction.amount) })
    item.querySelector('dl')?.replaceWith(factList([['To', whole(to)], ...transactionFacts(transaction)]))
  })
}

/** Draws what lanes look like, for a page without any. */
export function drawSample() {
  const [to, from] = sandboxAccounts
  const axis = { first: 1, last: maxColumns, quiet: '', x: (/** @type {number} */ index) => index * 10 - 5 }
  /** @type {any[]} */
  const payments = Array.from({ length: 14 }, (_, at) => {
    const createdIn = maxColumns - at
    const ended = { kind: at === 9 ? 'canceled' : 'fulfilled', ledgerIndex: createdIn + (at % 3 ? 1 : 2) }
    const created = { packet: { paymentId: 14 - at } }
    return { id: `${at}`, from, to, amount: '10', createdIn, created, ended: at > 1 && ended }
  })
  drawLanes(find('sample'), new Map(payments.map(payment => [payment.id, [payment]])), axis)
}

export function drawView(/** @type {LedgerView} */ view) {
  setText(find('latest'), `Ledger ${number(view.last.index)} closed at ${clock(view.last.time)}`)
  const axis = axisOf(view)
  drawFigures(view)
  drawPlot(view, axis)
  drawPayments(view, axis)
  drawTotals(view)
  drawAccounts(view)
  drawOthers(view)
}

import { isValidClassicAddress } from 'ripple-address-codec'
import {
  type Command,
  expectedField,
  findLedger,
  invalidField,
  type Json,
  missingField,
  readLimit,
  rpcError
} from '../rpc.ts'
import { bookChanges } from '../streams.ts'

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Three characters, or 160 bits in hex. Source: xrpl.org "Currency Formats". */
export const isCurrency = (text: string) => /^([A-Za-z0-9?!@#$%^&*<>(){}[\]|]{3}|[0-9A-Fa-f]{40})$/.test(text)

const XRP: unknown[] = ['', 'XRP', '0'.repeat(40)]

const refusals = {
  taker_pays: { currency: 'srcCurMalformed', issuer: 'srcIsrMalformed' },
  taker_gets: { currency: 'dstAmtMalformed', issuer: 'dstIsrMalformed' }
} as const
const sides = ['taker_pays', 'taker_gets'] as const

/** What one side of a market trades; throws what rippled says of what is wrong with it, with or without words. */
function readSide(name: (typeof sides)[number], { currency, issuer }: Json, inWords: boolean): string {
  const refuse = (of: 'currency' | 'issuer', words: string) =>
    rpcError(refusals[name][of], inWords ? words : undefined)
  const isXrp = XRP.includes(currency)
  if (!isXrp && !(typeof currency === 'string' && isCurrency(currency)))
    throw refuse('currency', `Invalid field '${name}.currency', bad currency.`)
  if (inWords && issuer !== undefined && typeof issuer !== 'string')
    throw expectedField(`${name}.issuer`, 'string')
  if (issuer !== undefined && !isValidClassicAddress(String(issuer)))
    throw refuse('issuer', `Invalid field '${name}.issuer', bad issuer.`)
  if (isXrp && issuer !== undefined)
    throw refuse('issuer', `Unneeded field '${name}.issuer' for XRP currency specification.`)
  if (!isXrp && issuer === undefined)
    throw refuse('issuer', `Invalid field '${name}.issuer', expected non-XRP issuer.`)
  return isXrp ? 'XRP' : `${currency}:${issuer}`
}

const bookOffers: Command = request => {
  const { params } = request
  const { fields } = findLedger(request)
  for (const name of sides) if (params[name] === undefined) throw missingField(name)
  for (const name of sides)
    if (params[name] !== null && !isObject(params[name])) throw expectedField(name, 'object')
  const [pays, gets] = sides.map(name => (params[name] ?? {}) as Json) as [Json, Json]
  for (const [at, { currency }] of [pays, gets].entries()) {
    if (currency === undefined) throw missingField(`${sides[at]}.currency`)
    if (typeof currency !== 'string') throw expectedField(`${sides[at]}.currency`, 'string')
  }
  const traded = [readSide('taker_pays', pays, true), readSide('taker_gets', gets, true)]
  const { taker } = params
  if (taker !== undefined && typeof taker !== 'string') throw expectedField('taker', 'string')
  if (taker !== undefined && !isValidClassicAddress(taker)) throw invalidField('taker')
  if (traded[0] === traded[1]) throw rpcError('badMarket')
  readLimit(params, 60)
  return { offers: [], ...fields }
}

/** Checks the markets that a subscription names; there is never any news of them. */
export function checkBooks(books: unknown) {
  if (!Array.isArray(books)) throw rpcError('invalidParams')
  for (const book of books) {
    const isSide = (value: unknown) => value === null || isObject(value)
    if (!isObject(book) || !isSide(book.taker_pays) || !isSide(book.taker_gets))
      throw rpcError('invalidParams')
    const [pays, gets] = sides.map(name => readSide(name, (book[name] ?? {}) as Json, false))
    if (pays === gets) throw rpcError('badMarket')
    if (book.taker !== undefined && !isValidClassicAddress(String(book.taker))) throw rpcError('badIssuer')
  }
}

const changes: Command = request => {
  const { closed } = findLedger(request)
  const { closedHeader, openIndex } = request.ledger
  return bookChanges(closed?.header ?? { ...closedHeader, ledgerIndex: openIndex }, closed !== undefined)
}

export const marketCommands: Record<string, Command> = { book_changes: changes, book_offers: bookOffers }

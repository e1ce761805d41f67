import { expect, test } from 'vitest'
import { parsePayHeader } from '../src/client/pay-header.ts'

const prefix = 'test.crypto.xrp.'
const address = 'test.crypto.xrp.rUNRf4XoAcLkghbr2RY7EjNauPMKSTMApD.AAAAAAAAAAA'
const secret = 'A'.repeat(43)
const good = `interledger-psk 10 ${address} ${secret}`

function parse(pay: string | undefined, answered = 200, expected = 200) {
  const headers = new Headers(pay === undefined ? {} : { Pay: pay })
  return parsePayHeader({ url: 'http://localhost:8000/', status: answered, headers }, expected, 100, prefix)
}

test('parsePayHeader returns the four parts of a Pay header', () => {
  expect(parse(good)).toEqual(['interledger-psk', '10', address, secret])
})

test.each([
  ['more than maxPrice', good.replace(' 10 ', ' 101 '), /asks 101 drops.*maxPrice.*allows 100/],
  ['another scheme', good.replace('psk', 'hkdf'), /Pay header is not/],
  ['an amount in words', good.replace(' 10 ', ' ten '), /Pay header is not/],
  ['a negative amount', good.replace(' 10 ', ' -10 '), /Pay header is not/],
  ['a fraction of a drop', good.replace(' 10 ', ' 1.5 '), /Pay header is not/],
  ['no address', `interledger-psk 10 ${secret}`, /Pay header is not/],
  ['an address with an empty segment', good.replace('.AAA', '..AAA'), /Pay header is not/],
  ['an address on another ledger', good.replace('test.', 'g.'), /not on this client's ledger/],
  ['a secret that is too short', good.slice(0, -1), /Pay header is not/],
  ['a fifth part', `${good} more`, /Pay header is not/]
])('parsePayHeader rejects %s', (_, pay, message) => {
  expect(() => parse(pay)).toThrow(message)
})

test.each([
  [200, 402, 'This shop streams its letters: its client is streaming-client2 (npm run streaming-client2)'],
  [
    402,
    200,
    'This shop wants one request for each letter: its client is streaming-client1 (npm run streaming-client1)'
  ],
  [404, 200, 'The shop answered 404 instead of 200: it is not a letter shop']
])('parsePayHeader rejects the status %i of a shop that should answer %i', (answered, expected, message) => {
  expect(() => parse(good, answered, expected)).toThrow(message)
})

test('parsePayHeader reads a megabyte of any character in linear time', () => {
  // Not with the square of its length, which would be hours.
  for (const text of ['x', '0', ' ', '.', '-', '\u00e9', '\n'].map(character => character.repeat(2 ** 20))) {
    const headers = { get: () => `interledger-psk 10 a.${text}! ${'A'.repeat(43)}` }
    const response = { url: 'http://localhost:8000/', status: 200, headers }
    expect(() => parsePayHeader(response, 200, 100, 'test.')).toThrow(/Pay header is not .*: .{0,100}$/)
  }
})

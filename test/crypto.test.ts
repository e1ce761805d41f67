import { createHmac } from 'node:crypto'
import * as IlpPacket from 'ilp-packet'
import { describe, expect, test } from 'vitest'
import { hmac, pskFulfillment, sha256 } from '../src/crypto.ts'

// The vectors of the reference implementation (the npm package ilp, version 11), as published with it.
const vectors = [
  {
    name: 'a secret and a packet of arbitrary bytes',
    secret: Buffer.from('secret'),
    packet: Buffer.from('kybtrzvWnuJyEugU6c2JYblf6WEcU4gxBduKfq', 'base64'),
    fulfillment: Buffer.from('rHl3k5yBZxsak4Vkvo5UswE4vjEWk-TNXPz-2syFs7A', 'base64url'),
    condition: undefined
  },
  {
    name: 'a secret of 32 bytes and an ILP payment packet',
    secret: Buffer.from('B688AB98E3BB599D5BDE337D529643E1EBF0F34EB972319B655491E528F657E3', 'hex'),
    packet: Buffer.from('0118000000000000006b0d6578616d706c652e616c6963650000', 'hex'),
    fulfillment: Buffer.from('069433a24bca2e224f83ebd8e1b421866051c72ae0e2a008827821fef67634ff', 'hex'),
    condition: 'Lcyp_kQGU7czUaTCviU_Lf2LZu5beQ7pGNaw3bL14H0'
  }
]
const [, ilpVector] = vectors as [unknown, (typeof vectors)[number]]

// The published examples of ILP payment packets (Interledger RFC 0003).
const packets = [
  {
    payment: { account: 'example.alice', amount: '107', data: Buffer.alloc(0) },
    hex: '0118000000000000006b0d6578616d706c652e616c6963650000'
  },
  {
    payment: { account: 'example.bob', amount: '100', data: Buffer.from('659659', 'hex') },
    hex: '011900000000000000640b6578616d706c652e626f620365965900'
  }
]

describe('the pre-shared key derivation', () => {
  test.each(vectors)('gives the published fulfillment for $name', ({ secret, packet, fulfillment }) => {
    expect(pskFulfillment(secret, packet)).toEqual(fulfillment)
  })

  test('gives the published condition, in 43 characters of base64url', () => {
    const condition = sha256(pskFulfillment(ilpVector.secret, ilpVector.packet))
    expect(condition.toString('base64url')).toBe(ilpVector.condition)
    expect(condition).toEqual(sha256(ilpVector.fulfillment))
  })

  test('is not the one-step HMAC that an early draft described', () => {
    const oneStep = createHmac('sha256', ilpVector.secret).update(ilpVector.packet).digest()
    expect(oneStep.toString('hex')).toBe('634ac91023dcc4c270273440ad8a5ceb1203f1384e79655a0b17b1dc4006a90c')
    expect(pskFulfillment(ilpVector.secret, ilpVector.packet)).not.toEqual(oneStep)
  })

  test('takes the text that names the key derivation as UTF-8', () => {
    expect(hmac('key', 'The quick brown fox jumps over the lazy dog').toString('hex')).toBe(
      'f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8'
    )
    expect(sha256('abc').toString('hex')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    )
  })

  test('gives another condition for every paymentId', () => {
    const conditions = [0, 1, 2, 10].map(paymentId => {
      const account = `test.crypto.xrp.rUNRf4XoAcLkghbr2RY7EjNauPMKSTMApD.AAAAAAAAAAA.${paymentId}`
      const packet = IlpPacket.serializeIlpPayment({ account, amount: '10', data: Buffer.alloc(0) })
      return sha256(pskFulfillment(ilpVector.secret, packet)).toString('hex')
    })
    expect(new Set(conditions).size).toBe(4)
  })
})

describe('the packets of ilp-packet', () => {
  test.each(packets)('are the published ones for $payment.account', ({ payment, hex }) => {
    expect(IlpPacket.serializeIlpPayment(payment).toString('hex')).toBe(hex)
    expect(IlpPacket.deserializeIlpPayment(Buffer.from(hex, 'hex'))).toEqual(payment)
  })
})

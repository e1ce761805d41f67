import * as IlpPacket from 'ilp-packet'
import { expect, test } from 'vitest'
import { pskFulfillment, sha256 } from '../src/crypto.ts'

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

test.each(vectors)(
  'pskFulfillment gives the published fulfillment for $name',
  ({ secret, packet, fulfillment }) => {
    expect(pskFulfillment(secret, packet)).toEqual(fulfillment)
  }
)

test('pskFulfillment gives the published condition, in 43 characters of base64url', () => {
  const condition = sha256(pskFulfillment(ilpVector.secret, ilpVector.packet))
  expect(condition.toString('base64url')).toBe(ilpVector.condition)
  expect(condition).toEqual(sha256(ilpVector.fulfillment))
})

test('pskFulfillment gives another condition for every paymentId', () => {
  const conditions = [0, 1, 2, 10].map(paymentId => {
    const account = `test.crypto.xrp.rUNRf4XoAcLkghbr2RY7EjNauPMKSTMApD.AAAAAAAAAAA.${paymentId}`
    const packet = IlpPacket.serializeIlpPayment({ account, amount: '10', data: Buffer.alloc(0) })
    return sha256(pskFulfillment(ilpVector.secret, packet)).toString('hex')
  })
  expect(new Set(conditions).size).toBe(4)
})

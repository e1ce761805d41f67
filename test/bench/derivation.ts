import { createHash, createHmac, randomBytes } from 'node:crypto'
import { serializeIlpPayment } from 'ilp-packet'
import { pskCondition } from '../../src/crypto.ts'
import type { Run } from './processes.ts'
import { median } from './statistics.ts'
import type { Section } from './table.ts'

const perRound = 5_000

/** How fast conditions are derived by src/crypto.ts, and by the same calls of node:crypto written inline. */
export function derivation({ isQuick }: Run): Section {
  const sharedSecret = randomBytes(32)
  const packets = Array.from({ length: perRound }, (_, paymentId) =>
    serializeIlpPayment({
      account: `test.crypto.xrp.rUNRf4XoAcLkghbr2RY7EjNauPMKSTMApD.uYa7Ph2sKQk.${paymentId}`,
      amount: '10',
      data: Buffer.alloc(0)
    })
  )
  const inline = (ilpPacket: Buffer) => {
    const generator = createHmac('sha256', sharedSecret).update('ilp_psk_condition').digest()
    const fulfillment = createHmac('sha256', generator).update(ilpPacket).digest()
    return createHash('sha256').update(fulfillment).digest()
  }
  const shared = (ilpPacket: Buffer) => pskCondition(sharedSecret, ilpPacket)
  const perSecond = (derive: (ilpPacket: Buffer) => Buffer) => {
    const before = performance.now()
    for (const ilpPacket of packets) derive(ilpPacket)
    return (perRound / (performance.now() - before)) * 1000
  }

  perSecond(shared)
  perSecond(inline)
  // Side by side, and in turn the first: whatever else the machine does meets both.
  const rounds = Array.from({ length: isQuick ? 10 : 40 }, (_, round) => {
    if (round % 2) return { theirs: perSecond(inline), ours: perSecond(shared) }
    const ours = perSecond(shared)
    return { theirs: perSecond(inline), ours }
  })
  return {
    title: '1. Derivation of conditions',
    tables: [
      {
        name: `Conditions per second, median of ${rounds.length} rounds of ${perRound}`,
        columns: [
          { key: 'ours', head: 'src/crypto.ts' },
          { key: 'theirs', head: 'node:crypto inline' },
          { key: 'ratio', head: 'ratio', digits: 2, atLeast: 0.95 }
        ],
        rows: [
          {
            ours: median(rounds.map(({ ours }) => ours)),
            theirs: median(rounds.map(({ theirs }) => theirs)),
            ratio: median(rounds.map(({ ours, theirs }) => ours / theirs))
          }
        ]
      }
    ],
    notes: []
  }
}

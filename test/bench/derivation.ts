import { createHash, createHmac, randomBytes } from 'node:crypto'
import { serializeIlpPayment } from 'ilp-packet'
import { pskFulfillment, sha256 } from '../../src/crypto.ts'
import type { Run } from './processes.ts'
import { median } from './statistics.ts'
import type { Section } from './table.ts'

const perRound = 100

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
  const shared = (ilpPacket: Buffer) => sha256(pskFulfillment(sharedSecret, ilpPacket))
  const cpuMsFor = (derive: (ilpPacket: Buffer) => Buffer) => {
    const before = process.cpuUsage()
    for (const ilpPacket of packets) derive(ilpPacket)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1000
  }

  // In turn, and in turn the first: whatever else the machine does meets both.
  const rounds = isQuick ? 400 : 2_000
  const ours: number[] = []
  const theirs: number[] = []
  for (let round = 0; round < rounds; round++) {
    if (round % 2) ours.push(cpuMsFor(shared))
    theirs.push(cpuMsFor(inline))
    if (round % 2 === 0) ours.push(cpuMsFor(shared))
  }
  const perSecond = (ms: number[]) => (perRound * 1000) / median(ms)
  return {
    title: '1. Derivation of conditions',
    tables: [
      {
        name: `Conditions per second of CPU, medians of ${rounds} rounds of ${perRound} each`,
        columns: [
          { key: 'ours', head: 'src/crypto.ts' },
          { key: 'theirs', head: 'node:crypto inline' },
          { key: 'ratio', head: 'ratio', digits: 2, atLeast: 0.95 }
        ],
        rows: [{ ours: perSecond(ours), theirs: perSecond(theirs), ratio: median(theirs) / median(ours) }]
      }
    ],
    notes: []
  }
}

import { expect, test } from 'vitest'
import { someTransfer, until, usePair } from './support.ts'

// A ledger that closes when all is in it that can be: whoever waits for one transfer before the next never gets there.
test.each([1, 30])(
  'as many as %d transfers asked for during one ledger are all in it, and their fulfillments all in the next',
  async count => {
    const { ledger, payer, payee } = await usePair({ closeIntervalMs: 0 })
    const fulfillments = new Map<string, string>()
    payee.on('incoming_prepare', ({ id }) => payee.fulfillCondition(id, fulfillments.get(id) as string))
    const sent: Promise<void>[] = []
    const rounds = 3
    for (let round = 0; round <= rounds; round++) {
      for (let asked = 0; asked < count && round < rounds; asked++) {
        const transfer = someTransfer()
        fulfillments.set(transfer.id, transfer.fulfillment)
        sent.push(payer.sendTransfer(transfer))
      }
      const transfers = round < rounds ? count : 0
      const fulfilled = round > 0 ? count : 0
      await expect.poll(() => ledger.openTransactions()).toBe(transfers + fulfilled)
      await ledger.closeLedger()
    }
    await Promise.all(sent)
    expect(await until(payer, 'outgoing_fulfill', rounds * count)).toHaveLength(rounds * count)
  }
)

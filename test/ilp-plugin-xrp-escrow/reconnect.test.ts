import PluginXrpEscrow, { type Transfer } from 'ilp-plugin-xrp-escrow'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { TestLedgerOptions } from '../support/ledger.ts'
import { useScriptedServer } from './scripted-server.ts'
import {
  customer,
  idsOf,
  ledgerTime,
  named,
  next,
  ownTransactions,
  record,
  shop,
  someTransfer,
  storyOf,
  until,
  useFaultyLedger,
  useLedger,
  usePlugin,
  useProxiedLedger
} from './support.ts'

/** A payer at the ledger itself, and a payee behind the faults. */
async function useBoth(options: TestLedgerOptions = {}) {
  const ledger = await useProxiedLedger(options)
  const payer = await usePlugin(ledger.ledger.url)
  const payee = await usePlugin(ledger.url, { secret: shop.secret })
  return { ledger, payer, payee }
}

describe('a connection', () => {
  test('fulfillCondition works in a listener right after a reconnection', async () => {
    const { ledger, payer, payee } = await useBoth()
    const transfer = someTransfer()
    const taken = new Promise<void>((resolve, reject) => {
      payee.on('incoming_prepare', ({ id }) =>
        payee.fulfillCondition(id, transfer.fulfillment).then(resolve, reject)
      )
    })
    ledger.proxy.accepts = false
    ledger.proxy.cut()
    if (payee.isConnected()) await next(payee, 'disconnect')
    await payer.sendTransfer(transfer)
    ledger.proxy.accepts = true
    await taken
  })

  test.each(['cut', 'cutCleanly', 'disconnect'] as const)(
    'plugin emits everything once when the connection ends by %s',
    async how => {
      const { ledger, payer, payee } = await useBoth()
      const transfers = Array.from({ length: 5 }, () => someTransfer())
      const [before, ...during] = transfers
      await payer.sendTransfer(before as Transfer)
      await until(payee, 'incoming_prepare')
      ledger.proxy.accepts = false
      if (how === 'disconnect') await payee.disconnect()
      else ledger.proxy[how]()
      await until(payee, 'disconnect')
      expect(payee.isConnected()).toBe(false)
      for (const transfer of during) await payer.sendTransfer(transfer)
      ledger.proxy.accepts = true
      if (how === 'disconnect') await payee.connect()
      expect(idsOf(await until(payee, 'incoming_prepare', 5))).toEqual(transfers.map(({ id }) => id))
      // And it follows what happens from now on.
      await Promise.all(transfers.map(({ id, fulfillment }) => payee.fulfillCondition(id, fulfillment)))
      for (const { id } of transfers)
        expect(storyOf(payee.told, id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
      const connections = payee.told.map(([event]) => event).filter(event => event.includes('connect'))
      expect(connections).toEqual(['connect', 'disconnect', 'connect'])
    }
  )

  test('plugin reconnects when the server falls silent', async () => {
    const { ledger, payee } = await useBoth()
    ledger.proxy.hold()
    // By its clock, all takes a twentieth of the time.
    const [now, since] = [performance.now.bind(performance), performance.now()]
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => since + 20 * (now() - since))
    onTestFinished(() => clock.mockRestore())
    await until(payee, 'disconnect')
    ledger.proxy.cut()
    ledger.proxy.release()
    await until(payee, 'connect', 2)
  })

  test('plugin fulfills once when the submit response is lost', async () => {
    const { ledger, payer, payee } = await useBoth()
    for (let count = 1; count <= 2; count++) {
      const transfer = someTransfer()
      await expect.poll(() => payer.isConnected() && payee.isConnected()).toBe(true)
      await payer.sendTransfer(transfer)
      await until(payee, 'incoming_prepare', count)
      const lost = ledger.proxy.dropNext(/"engine_result"/).then(() => ledger.proxy.cut())
      await payee.fulfillCondition(transfer.id, transfer.fulfillment)
      await lost
      expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
    }
    const balance = () => payee.getBalance().catch(() => 'the connection is not back yet')
    await expect.poll(balance).toBe(String(10_000_000_000 + 2 * (10 - 350)))
  })

  test('plugin signs anew, once, after an outage longer than LastLedgerSequence', async () => {
    const { url, proxy, ledger } = await useProxiedLedger({ closeIntervalMs: 20 })
    const payer = await usePlugin(url)
    await payer.sendTransfer(someTransfer())
    proxy.hold()
    const sent = payer.sendTransfer(someTransfer())
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
    proxy.accepts = false
    proxy.cut()
    proxy.release()
    const { ledgerIndex } = await ledger.newest()
    await expect.poll(async () => (await ledger.newest()).ledgerIndex - ledgerIndex).toBeGreaterThan(25)
    proxy.accepts = true
    await sent
    await payer.sendTransfer(someTransfer())
    expect((await ownTransactions(ledger)).map(({ TransactionType }) => TransactionType)).toEqual(
      Array(3).fill('EscrowCreate')
    )
  })
})

describe('a ledger that is restarted', () => {
  test('plugin goes on when a ledger server restarts with its state', async () => {
    const ledger = await useFaultyLedger()
    const behind = await usePlugin(ledger.url)
    const payee = await usePlugin(ledger.url, { secret: shop.secret })
    const transfer = someTransfer()
    await behind.sendTransfer(transfer)
    await until(payee, 'incoming_prepare')
    await ledger.restart({ keepState: true })
    await until(payee, 'connect', 2)
    await until(behind, 'connect', 2)
    await payee.fulfillCondition(transfer.id, transfer.fulfillment)
    await until(behind, 'outgoing_fulfill')
    expect(storyOf(behind.told, transfer.id)).toEqual(['outgoing_prepare', 'outgoing_fulfill'])
    expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
  })

  test('plugin emits error, rejects pending transfers and continues after a ledger reset', async () => {
    // Long enough for the second transfer to be on its way when the ledger ends.
    const ledger = await useFaultyLedger({ closeIntervalMs: 1_000 })
    const payer = await usePlugin(ledger.url)
    const held = someTransfer()
    await payer.sendTransfer(held)
    const submitted = ledger.proxy.seen(/"engine_result"/)
    const transfer = someTransfer()
    const lost = expect(payer.sendTransfer(transfer)).rejects.toThrow(
      named('UnreachableError', { code: 'LEDGER_RESET' })
    )
    await submitted
    await ledger.restart({ keepState: false })
    await lost
    expect((await until(payer, 'error'))[0]).toEqual([
      expect.objectContaining({ code: 'LEDGER_RESET', transferIds: [transfer.id, held.id] })
    ])
    expect(payer.told.filter(([event]) => event === 'error')).toHaveLength(1)
    expect(storyOf(payer.told, held.id)).toEqual(['outgoing_prepare'])
    if (!payer.isConnected()) await next(payer, 'connect')
    const again = someTransfer()
    await payer.sendTransfer(again)
    expect(storyOf(payer.told, again.id)).toEqual(['outgoing_prepare'])
  })
})

describe('disconnect', () => {
  test('disconnect rejects pending promises and keeps following what was sent', async () => {
    const ledger = await useLedger({ closeIntervalMs: 0 })
    const payer = await usePlugin(ledger.url)
    const transfer = someTransfer()
    const sent = expect(payer.sendTransfer(transfer)).rejects.toThrow(named('UnreachableError'))
    while ((await ledger.openTransactions()) < 1);
    await payer.disconnect()
    await sent
    await ledger.closeLedger()
    await payer.connect()
    await ledger.closeLedger()
    // The same transfer again is the same transfer: it has the first one's outcome.
    await payer.sendTransfer(transfer)
    expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare'])
  })

  test('disconnect discards unsent transfers, which can be sent again', async () => {
    const ledger = await useLedger()
    let isHeld = true
    const server = await useScriptedServer(ledger, {
      request: ({ command, ledger_index }) =>
        command === 'account_info' && ledger_index === 'current' && isHeld ? 'nothing' : undefined
    })
    const payer = await usePlugin(server.url)
    const transfer = someTransfer()
    const sent = expect(payer.sendTransfer(transfer)).rejects.toThrow(named('UnreachableError'))
    await payer.disconnect()
    await sent
    isHeld = false
    await payer.connect()
    await payer.sendTransfer(transfer)
    expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare'])
  })

  test('disconnect while connecting does not affect the next connect', async () => {
    const ledger = await useProxiedLedger()
    ledger.proxy.delayMs = 30
    const plugin = new PluginXrpEscrow({ server: ledger.url, secret: customer.secret })
    onTestFinished(() => plugin.disconnect())
    const told = record(plugin)
    for (const turnsBefore of [0, 1, 100]) {
      const first = expect(plugin.connect()).rejects.toThrow(named('UnreachableError'))
      for (let turn = 0; turn < turnsBefore; turn++) await new Promise(setImmediate)
      const disconnected = plugin.disconnect()
      const second = plugin.connect()
      await Promise.all([first, disconnected, second])
      expect(plugin.isConnected()).toBe(true)
      await plugin.disconnect()
      await plugin.disconnect()
    }
    const pair = ['connect', 'disconnect']
    expect(told.map(([event]) => event)).toEqual([...pair, ...pair, ...pair])
  })
})

describe('connect', () => {
  test('concurrent connect() calls emit one connect event', async () => {
    const ledger = await useLedger()
    const plugin = new PluginXrpEscrow({ server: ledger.url, secret: customer.secret })
    onTestFinished(() => plugin.disconnect())
    const told = record(plugin)
    await Promise.all([plugin.connect(), plugin.connect()])
    await plugin.connect()
    expect(told).toEqual([['connect']])
    const transfer = someTransfer()
    await plugin.sendTransfer(transfer)
    expect(storyOf(told, transfer.id)).toEqual(['outgoing_prepare'])
  })

  test('connect can be repeated after a failure', async () => {
    const ledger = await useLedger()
    let refusals = 2
    const server = await useScriptedServer(ledger, {
      request: ({ command }) =>
        command === 'account_info' && refusals-- > 0 ? { error: 'actNotFound' } : undefined
    })
    const plugin = new PluginXrpEscrow({ server: server.url, secret: customer.secret })
    onTestFinished(() => plugin.disconnect())
    const told = record(plugin)
    await expect(plugin.connect()).rejects.toThrow(named('AccountNotFoundError'))
    await expect(plugin.connect()).rejects.toThrow(named('AccountNotFoundError'))
    await plugin.connect()
    expect(told).toEqual([['connect']])
    await plugin.sendTransfer(someTransfer())
  })

  test('connect rejects when the server does not answer in time', async () => {
    const ledger = await useProxiedLedger()
    ledger.proxy.hold()
    const plugin = new PluginXrpEscrow({ server: ledger.url, secret: customer.secret })
    await expect(plugin.connect({ timeout: 100 })).rejects.toThrow(
      `The ledger at "${ledger.url}" cannot be reached (no answer in 100 ms)`
    )
  })
})

test('incoming_cancel is emitted after an expiry during an outage', async () => {
  const { ledger, payer, payee } = await useBoth({ closeIntervalMs: 20 })
  const transfer = someTransfer({ expiresAt: await ledgerTime(ledger.ledger, 15) })
  await payer.sendTransfer(transfer)
  await until(payee, 'incoming_prepare')
  ledger.proxy.accepts = false
  ledger.proxy.cut()
  await until(payer, 'outgoing_cancel')
  ledger.proxy.accepts = true
  await until(payee, 'incoming_cancel')
  expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare', 'incoming_cancel'])
})

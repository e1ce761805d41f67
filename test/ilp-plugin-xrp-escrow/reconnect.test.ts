import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Distortion } from '../support/distorting-server.ts'
import {
  customer,
  idsOf,
  ledgerTime,
  moreLedgers,
  named,
  next,
  openTransactions,
  ownTransactions,
  prepare,
  shop,
  someTransfer,
  storiesOf,
  storyOf,
  type TestPlugin,
  until,
  useLedger,
  usePair,
  usePayer,
  usePlugin,
  useSandbox,
  useServer,
  useUnconnected
} from './support.ts'

// The payee's connection can be cut.
const atServer = 'payee'

/** A server that does not say a word. */
const silence: Distortion = { request: () => 'nothing', stream: () => 'nothing' }

describe('a connection', () => {
  test('fulfillCondition works in a listener right after a reconnection', async () => {
    const { server, payer, payee } = await usePair({ atServer })
    const transfer = someTransfer()
    const taken = new Promise<void>((resolve, reject) => {
      payee.on('incoming_prepare', ({ id }) =>
        payee.fulfillCondition(id, transfer.fulfillment).then(resolve, reject)
      )
    })
    server.isOpen = false
    server.cut()
    if (payee.isConnected()) await next(payee, 'disconnect')
    await payer.sendTransfer(transfer)
    server.isOpen = true
    await taken
  })

  test.each(['a reset', 'a restart of the server', 'disconnect'])(
    'plugin emits everything once when the connection ends by %s',
    async how => {
      const { server, payer, payee } = await usePair({ atServer })
      const transfers = Array.from({ length: 5 }, () => someTransfer())
      const [before, ...during] = transfers
      await payer.sendTransfer(before as (typeof transfers)[number])
      await until(payee, 'incoming_prepare')
      server.isOpen = false
      if (how === 'disconnect') await payee.disconnect()
      else if (how === 'a reset') server.cut()
      else for (const line of server.lines) line.close()
      await until(payee, 'disconnect')
      expect(payee.isConnected()).toBe(false)
      for (const transfer of during) await payer.sendTransfer(transfer)
      server.isOpen = true
      if (how === 'disconnect') await payee.connect()
      expect(idsOf(await until(payee, 'incoming_prepare', 5))).toEqual(transfers.map(({ id }) => id))
      // And it follows what happens from now on.
      await Promise.all(transfers.map(({ id, fulfillment }) => payee.fulfillCondition(id, fulfillment)))
      for (const { id } of transfers)
        expect(storyOf(payee.told, id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
      const connections = payee.told.map(([event]) => event).filter(event => /connect|error/.test(event))
      expect(connections).toEqual(['connect', 'disconnect', 'connect'])
    }
  )

  test('plugin reconnects when the server falls silent', async () => {
    const { server, payee } = await usePair({ atServer })
    server.distortions = [silence]
    // By its clock, all takes a twentieth of the time.
    const [now, since] = [performance.now.bind(performance), performance.now()]
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => since + 20 * (now() - since))
    onTestFinished(() => clock.mockRestore())
    await until(payee, 'disconnect')
    server.distortions = []
    await until(payee, 'connect', 2)
  })

  test('plugin fulfills once when the submit response is lost', async () => {
    const { server, payer, payee } = await usePair({ atServer })
    for (let count = 1; count <= 2; count++) {
      const transfer = someTransfer()
      await expect.poll(() => payer.isConnected() && payee.isConnected()).toBe(true)
      await payer.sendTransfer(transfer)
      await until(payee, 'incoming_prepare', count)
      server.distortions = [
        {
          answer(_result, { command }, line) {
            if (command !== 'submit') return undefined
            server.distortions = []
            line.cut()
            return 'nothing'
          }
        }
      ]
      await payee.fulfillCondition(transfer.id, transfer.fulfillment)
      expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare', 'incoming_fulfill'])
    }
    const balance = () => payee.getBalance().catch(() => 'the connection is not back yet')
    await expect.poll(balance).toBe(String(10_000_000_000 + 2 * (10 - 350)))
  })

  test('incoming_cancel is emitted after an expiry during an outage', async () => {
    const { ledger, server, payer, payee } = await usePair({ closeIntervalMs: 20, atServer })
    const transfer = await prepare({ payer, payee }, { expiresAt: await ledgerTime(ledger, 40) })
    server.isOpen = false
    server.cut()
    await until(payer, 'outgoing_cancel')
    server.isOpen = true
    await until(payee, 'incoming_cancel')
    expect(storyOf(payee.told, transfer.id)).toEqual(['incoming_prepare', 'incoming_cancel'])
  })
})

test('plugin emits error, rejects pending transfers and continues after a ledger reset', async () => {
  const before = await useSandbox({ closeIntervalMs: 0 })
  const server = await useServer(before)
  const payer = await usePlugin(server.url)
  const [held, lost] = [someTransfer(), someTransfer()]
  const prepared = payer.sendTransfer(held)
  await expect.poll(() => before.ledger.openTransactions.size).toBe(1)
  before.closeLedger()
  await prepared
  const sent = expect(payer.sendTransfer(lost)).rejects.toThrow(
    named('UnreachableError', { code: 'LEDGER_RESET' })
  )
  await expect.poll(() => before.ledger.openTransactions.size).toBe(1)
  await before.close()
  server.upstream = await useSandbox()
  await sent
  expect(await until(payer, 'error')).toEqual([
    [expect.objectContaining({ code: 'LEDGER_RESET', transferIds: [lost.id, held.id] })]
  ])
  expect(storyOf(payer.told, held.id)).toEqual(['outgoing_prepare'])
  if (!payer.isConnected()) await next(payer, 'connect')
  const again = someTransfer()
  await payer.sendTransfer(again)
  expect(storyOf(payer.told, again.id)).toEqual(['outgoing_prepare'])
  expect(payer.told.filter(([event]) => event === 'error')).toHaveLength(1)
})

describe('disconnect', () => {
  const disconnected = named('UnreachableError', { code: 'DISCONNECTED' })

  test('disconnect rejects pending promises and keeps following what was sent', async () => {
    const ledger = await useLedger({ closeIntervalMs: 0 })
    const payer = await usePlugin(ledger.url)
    const transfer = someTransfer()
    const sent = expect(payer.sendTransfer(transfer)).rejects.toThrow(disconnected)
    await openTransactions(ledger, 1)
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
    const { ledger, server, payer } = await usePayer(undefined, {
      request: ({ command, ledger_index }) =>
        command === 'account_info' && ledger_index === 'current' ? 'nothing' : undefined
    })
    const transfer = someTransfer()
    const sent = expect(payer.sendTransfer(transfer)).rejects.toThrow(disconnected)
    await payer.disconnect()
    await sent
    server.distortions = []
    await payer.connect()
    await moreLedgers(ledger, 2)
    expect(await ownTransactions(ledger)).toEqual([])
    await payer.sendTransfer(transfer)
    expect(storyOf(payer.told, transfer.id)).toEqual(['outgoing_prepare'])
  })

  test('disconnect while connecting does not affect the next connect', async () => {
    const server = await useServer(await useLedger())
    const { plugin, told } = useUnconnected(server.url)
    // While the WebSocket is being opened, and before the first and the second answer.
    for (const requests of [0, 1, 2]) {
      const last = server.requests.length + requests
      server.distortions = [{ request: () => (server.requests.length >= last ? 'nothing' : undefined) }]
      const first = expect(plugin.connect()).rejects.toThrow(named('UnreachableError'))
      await expect.poll(() => server.requests.length).toBe(last)
      const disconnected = plugin.disconnect()
      server.distortions = []
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
    const { plugin, told } = useUnconnected(ledger.url)
    await Promise.all([plugin.connect(), plugin.connect()])
    await plugin.connect()
    expect(told).toEqual([['connect']])
    const transfer = someTransfer()
    await plugin.sendTransfer(transfer)
    expect(storyOf(told, transfer.id)).toEqual(['outgoing_prepare'])
  })

  test('connect can be repeated after a failure', async () => {
    const server = await useServer(await useLedger(), {
      request: ({ command }) => (command === 'account_info' ? { error: 'actNotFound' } : undefined)
    })
    const { plugin, told } = useUnconnected(server.url)
    for (const _time of ['first', 'second'])
      await expect(plugin.connect()).rejects.toThrow(named('AccountNotFoundError'))
    server.distortions = []
    await plugin.connect()
    expect(told).toEqual([['connect']])
    await plugin.sendTransfer(someTransfer())
  })

  test('connect rejects when the server does not answer in time', async () => {
    const server = await useServer(await useLedger(), silence)
    const { plugin } = useUnconnected(server.url)
    const name = server.url
    await expect(plugin.connect({ timeout: 100 })).rejects.toThrow(
      `The ledger at "${name}" cannot be reached (no answer in 100 ms)`
    )
  })
})

describe('a connection that breaks at random', () => {
  // Cuts come after so many transfers on average; by what was achieved, or a slow machine would get nowhere.
  const isSoak = import.meta.env.MODE === 'soak'
  const [transfers, atATime, transfersPerCut] = isSoak ? [10_000, 40, 20] : [150, 20, 10]

  /** Does something as often as the connection lets it. */
  async function insist(plugin: TestPlugin, act: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await act()
      } catch (err) {
        if ((err as Error).name !== 'UnreachableError') throw err
        if (!plugin.isConnected()) await next(plugin, 'connect')
      }
    }
  }

  test(`${transfers} transfers over connections that break at random are settled once each, to the drop`, async () => {
    const { ledger, server, payer, payee } = await usePair({ closeIntervalMs: 100, atServer: 'both' })
    for (const plugin of [payer, payee]) plugin.setMaxListeners(0)
    const all = Array.from({ length: transfers }, () => someTransfer())
    const fulfillments = new Map(all.map(({ id, fulfillment }) => [id, fulfillment]))
    const failures: unknown[] = []
    payee.on('incoming_prepare', ({ id }) =>
      insist(payee, () => payee.fulfillCondition(id, fulfillments.get(id) as string)).catch(err =>
        failures.push(err)
      )
    )

    let cuts = 0
    let untilCut = randomInt(2 * transfersPerCut)
    payee.on('incoming_fulfill', async () => {
      if (untilCut-- > 0) return
      untilCut = randomInt(2 * transfersPerCut)
      await delay(randomInt(200))
      if (++cuts % 3 > 0) server.cut()
      else for (const line of server.lines) line.close()
    })

    const waiting = [...all]
    async function send(): Promise<void> {
      for (let transfer = waiting.shift(); transfer; transfer = waiting.shift()) {
        const now = transfer
        await insist(payer, () => payer.sendTransfer(now))
      }
    }
    await Promise.all(Array.from({ length: atATime }, send))
    await until(payer, 'outgoing_fulfill', transfers)
    await until(payee, 'incoming_fulfill', transfers)

    expect(failures).toEqual([])
    const stories = (plugin: TestPlugin) =>
      [...storiesOf(plugin.told)].map(([id, story]) => [id, ...story].join(' ')).sort()
    const ids = all.map(({ id }) => id).sort()
    expect(stories(payer)).toEqual(ids.map(id => `${id} outgoing_prepare outgoing_fulfill`))
    expect(stories(payee)).toEqual(ids.map(id => `${id} incoming_prepare incoming_fulfill`))
    expect(cuts).toBeGreaterThan(5)
    // The balances are read past the faults.
    for (const [secret, change] of [
      [customer.secret, -10 - 10],
      [shop.secret, 10 - 350]
    ] as const) {
      const direct = await usePlugin(ledger.url, { secret })
      expect(await direct.getBalance()).toBe(String(10_000_000_000 + transfers * change))
    }
  }, 3_600_000)
})

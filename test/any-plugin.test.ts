import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLedger, type TestLedger } from './support/ledger.ts'
import { copyProject, type ProjectCopy, pairs, testPlugins } from './support/scripts.ts'

// A plugins.ts with a plugin that has the Ledger Plugin Interface (Interledger RFC 0004, draft 8) and an event
// emitter's own methods, and ends the script when anything else is asked of it.
const plugins = `${testPlugins}
const lpi = [
  'connect', 'disconnect', 'isConnected', 'getInfo', 'getAccount', 'getBalance', 'getFulfillment', 'sendTransfer',
  'sendRequest', 'fulfillCondition', 'rejectIncomingTransfer', 'registerRequestHandler', 'deregisterRequestHandler'
]
const emitter = ['on', 'once', 'off', 'addListener', 'removeListener', 'removeAllListeners']

function onlyLpi(plugin) {
  return new Proxy({}, {
    get(_, name) {
      if (name === 'then') return undefined
      if (lpi.includes(name) || emitter.includes(name)) return plugin[name].bind(plugin)
      console.error('Not in the interface: ' + String(name))
      process.exit(7)
    }
  })
}

for (const [name, open] of Object.entries(xrp)) xrp[name] = () => onlyLpi(open())
`

let ledger: TestLedger
let project: ProjectCopy

beforeEach(async () => {
  ledger = await openLedger()
  project = await copyProject(plugins)
})

afterEach(async () => {
  await project.remove()
  await ledger.close()
})

test.each(pairs)(
  '$shop and $client ask nothing of a plugin but its interface',
  async ({ shop, client, lettersIn }) => {
    const { shop: seller, url } = await project.openShop(shop, ledger.env)
    const buyer = project.run(client, { ...ledger.env, SHOP_URL: url, INTERVAL_MS: '200' })
    await buyer.waitUntil(output => lettersIn(output).length >= 3)
    expect(await buyer.interrupt()).toBe(0)
    expect(await seller.interrupt()).toBe(0)
    expect(buyer.output + seller.output).not.toContain('Not in the interface')
  }
)

// Which ledger the scripts run on, and with which accounts. `npm install` copies this file to plugins.ts,
// which is yours to edit: Git ignores it, so that no secret ends up in a repository.
import { existsSync } from 'node:fs'
import { accounts, sandboxLedger } from 'xrpl-sandbox'
import { notice } from './src/terminal/progress.ts'

const ledgers = {
  /** An XRP Ledger on this machine, with play money: no setup, no internet. */
  async sandbox() {
    const server = await sandboxLedger()
    return {
      server,
      shop: accounts.shop,
      customer: accounts.customer,
      explorer: `${server.replace('ws:', 'http:')}/?account=`
    }
  },

  /**
   * The public XRP Testnet: test money, on a ledger that works like the real one.
   *  1. Run "npm run testnet-accounts": it makes two accounts, and the network's faucet gives them test XRP.
   *  2. Find their secrets in the file .env, as XRP_SHOP_SECRET and XRP_CUSTOMER_SECRET.
   *     (Or take both from https://xrpl.org/resources/dev-tools/xrp-faucets and write .env yourself.)
   *  3. Change ledgers.sandbox() below to ledgers.testNetwork().
   *  4. Run the scripts as before.
   *  5. Follow the links that they print to see your payments in the network's explorer.
   */
  async testNetwork() {
    const secrets = new URL('.env', import.meta.url)
    if (!existsSync(secrets))
      throw new Error('There is no .env with your secrets: run "npm run testnet-accounts" first')
    process.loadEnvFile(secrets)
    const server = 'wss://s.altnet.rippletest.net:51233'
    notice(`XRP Testnet: ${server}`)
    return {
      server,
      shop: { secret: fromEnv('XRP_SHOP_SECRET') },
      customer: { secret: fromEnv('XRP_CUSTOMER_SECRET') },
      explorer: 'https://testnet.xrpl.org/accounts/'
    }
  }
}

function fromEnv(name: string): string {
  const secret = process.env[name]
  if (!secret)
    throw new Error(
      `There is no ${name} in .env: write it there, or move .env away and run "npm run testnet-accounts"`
    )
  return secret
}

// The plugin's modules load while the ledger is found.
const loading = import('ilp-plugin-xrp-escrow')

// This is the line to edit.
const { server, shop, customer, explorer } = await ledgers.sandbox()

const { default: PluginXrpEscrow } = await loading
function open({ secret }: { secret: string }) {
  const plugin = new PluginXrpEscrow({ server, secret })
  plugin.once('connect', () => {
    const address = plugin.getAccount().slice(plugin.getInfo().prefix.length)
    notice(`    - Watch the account at ${explorer}${address}`)
  })
  return plugin
}

export const xrp = {
  Customer: () => open(customer),
  Shop: () => open(shop)
}

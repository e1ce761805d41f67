import PluginXrpEscrow from 'ilp-plugin-xrp-escrow'
import { accounts, sandboxLedger } from './src/sandbox-ledger/index.ts'

const server = await sandboxLedger()

export const xrp = {
  Customer: () => new PluginXrpEscrow({ server, secret: accounts.customer.secret }),
  Shop: () => new PluginXrpEscrow({ server, secret: accounts.shop.secret })
}

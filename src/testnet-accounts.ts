// npm run testnet-accounts: two accounts on the XRP test network, for the shop and the customer.
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Client, Wallet } from 'xrpl'
import { describe, shutdown } from './terminal/shutdown.ts'
import { printable, reasonOf } from './terminal/text.ts'

const explorer = 'https://testnet.xrpl.org/accounts/'
// Where the faucet is, unless it is the test network's own: a sandbox has both at one address.
const faucetUrl = process.env.FAUCET_URL
const server =
  faucetUrl?.replace(/^http/, 'ws').replace(/\/accounts$/, '') ?? 'wss://s.altnet.rippletest.net:51233'
const file = fileURLToPath(new URL('../.env', import.meta.url))

// It may have secrets of accounts with money.
if (existsSync(file))
  await shutdown(1, `${file} exists already; left unchanged: to make new accounts, move it away first`)

const client = new Client(server)
try {
  await client.connect()
} catch (err) {
  await shutdown(
    1,
    `The XRP Testnet at "${server}" cannot be reached (${printable(reasonOf(err))}): check your internet connection`
  )
}

let secrets = ''
for (const name of ['XRP_SHOP_SECRET', 'XRP_CUSTOMER_SECRET']) {
  console.log(`Asking the faucet for an account for ${name} ...`)
  const wallet = Wallet.generate()
  try {
    const { balance } = await client.fundWallet(wallet, faucetAt(faucetUrl))
    console.log(`    - ${wallet.address} has ${balance} XRP: ${explorer}${wallet.address}`)
  } catch (err) {
    await shutdown(
      1,
      `Faucet request failed (${printable(faucetReason(err))}), and nothing was written: try again in a few minutes`
    )
  }
  secrets += `${name}=${wallet.seed}\n`
}
await client.disconnect()

// Nobody else may read them, not even for a moment.
try {
  await writeFile(file, secrets, { mode: 0o600, flag: 'wx' })
} catch (err) {
  await shutdown(
    1,
    `${file} could not be written (${describe(err)}): make room, remove it, and run this again`
  )
}
console.log(`Their secrets are in ${file}, for your eyes only.`)
console.log(
  'Now change ledgers.sandbox() to ledgers.testNetwork() in plugins.ts, and run the scripts as before.'
)

function faucetAt(url: string | undefined): Parameters<Client['fundWallet']>[1] {
  if (url === undefined) return {}
  const { protocol, host } = new URL(url)
  return {
    faucetHost: host,
    faucetPath: '/accounts',
    faucetProtocol: protocol === 'http:' ? 'http' : 'https'
  }
}

/** What the faucet said: xrpl.js packs it into JSON, or into the cause of a failed fetch. */
function faucetReason(err: unknown): string {
  const { message, cause } = err as Error & { cause?: Error }
  try {
    const { statusCode, body } = JSON.parse(message.replace(/^Request failed: /, ''))
    return `it answered ${statusCode}: ${JSON.stringify(body)}`
  } catch {
    return reasonOf(cause ?? err) || message
  }
}

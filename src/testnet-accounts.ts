// npm run testnet-accounts: two accounts on the XRP test network, for the shop and the customer.
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Client, Wallet } from 'xrpl'
import { shutdown } from './terminal/shutdown.ts'
import { printable, reasonOf } from './terminal/text.ts'

const explorer = 'https://testnet.xrpl.org/accounts/'
// Where the faucet is, unless it is the test network's own: a sandbox has both at one address.
const faucetUrl = process.env.FAUCET_URL
const server = faucetUrl?.replace('http', 'ws') ?? 'wss://s.altnet.rippletest.net:51233'
const faucetHost = faucetUrl && new URL(faucetUrl).host
const faucet = faucetHost ? { faucetHost, faucetPath: '/accounts', faucetProtocol: 'http' as const } : {}
const file = fileURLToPath(new URL('../.env', import.meta.url))

// It may have secrets of accounts with money.
if (existsSync(file))
  await shutdown(1, `${file} exists already; left unchanged: to make new accounts, move it away first`)

const client = new Client(server)
await orShutdown(
  client.connect(),
  reason => `The XRP Testnet at "${server}" cannot be reached (${reason}): check your internet connection`
)

let secrets = ''
for (const name of ['XRP_SHOP_SECRET', 'XRP_CUSTOMER_SECRET']) {
  console.log(`Asking the faucet for an account for ${name} ...`)
  const wallet = Wallet.generate()
  const { balance } = await orShutdown(
    client.fundWallet(wallet, faucet),
    reason => `Faucet request failed (${reason}), and nothing was written: try again in a few minutes`
  )
  console.log(`    - ${wallet.address} has ${balance} XRP: ${explorer}${wallet.address}`)
  secrets += `${name}=${wallet.seed}\n`
}
await client.disconnect()

// Nobody else may read them, not even for a moment.
await orShutdown(
  writeFile(file, secrets, { mode: 0o600, flag: 'wx' }),
  reason => `${file} could not be written (${reason}): make room, remove it, and run this again`
)
console.log(`Their secrets are in ${file}, for your eyes only.`)
console.log(
  'Now change ledgers.sandbox() to ledgers.testNetwork() in plugins.ts, and run the scripts as before.'
)

/** Ends the script with a sentence if something fails. */
function orShutdown<Result>(doing: Promise<Result>, sentence: (reason: string) => string): Promise<Result> {
  return doing.catch(err => shutdown(1, sentence(printable(reasonFor(err)))))
}

/** Why something failed: xrpl.js packs what the faucet said into JSON, or into the cause of a failed fetch. */
function reasonFor(err: Error): string {
  try {
    const { statusCode, body } = JSON.parse(err.message.replace(/^Request failed: /, ''))
    return `it answered ${statusCode}: ${JSON.stringify(body)}`
  } catch {
    return reasonOf(err.cause ?? err) || err.message
  }
}

// npm run testnet-accounts: two accounts on the XRP test network, for the shop and the customer.
import { existsSync, readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Client, Wallet } from 'xrpl'
import { shutdown } from './terminal/shutdown.ts'

const explorer = 'https://testnet.xrpl.org/accounts/'
// Where the faucet is, unless it is the test network's own: a sandbox has both at one address.
const faucetUrl = process.env.FAUCET_URL
const server =
  faucetUrl?.replace(/^http/, 'ws').replace(/\/accounts$/, '') ?? 'wss://s.altnet.rippletest.net:51233'
const file = fileURLToPath(new URL('../.env', import.meta.url))
const names = ['XRP_SHOP_SECRET', 'XRP_CUSTOMER_SECRET']

const known = existsSync(file) ? readFileSync(file, 'utf8') : ''
if (names.some(name => new RegExp(`^\\s*${name}=`, 'm').test(known))) {
  await shutdown(
    1,
    `${file} already contains secrets; left unchanged: to make new accounts, move it away first`
  )
}

const client = new Client(server)
try {
  await client.connect()
} catch (err) {
  await shutdown(
    1,
    `The XRP Testnet at "${server}" cannot be reached (${(err as Error).message}): check your internet connection`
  )
}

const lines: string[] = []
for (const name of names) {
  const wallet = Wallet.generate()
  console.log(`Asking the faucet for an account for ${name} ...`)
  try {
    const { balance } = await client.fundWallet(wallet, faucetAt(faucetUrl))
    console.log(`    - ${wallet.address} has ${balance} XRP: ${explorer}${wallet.address}`)
  } catch (err) {
    await shutdown(
      1,
      `Faucet request failed (${reasonOf(err)}), and nothing was written: try again in a few minutes`
    )
  }
  lines.push(`${name}=${wallet.seed}`)
}
await client.disconnect()

const separator = known && !known.endsWith('\n') ? '\n' : ''
// Nobody else may read them, not even for a moment: in a file of their own, since one that was there before may be open.
const unfinished = `${file}.${process.pid}`
await writeFile(unfinished, `${known}${separator}${lines.join('\n')}\n`, { mode: 0o600, flag: 'wx' })
await rename(unfinished, file)
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
function reasonOf(err: unknown): string {
  const { message, cause } = err as Error & { cause?: Error }
  try {
    const { statusCode, body } = JSON.parse(message.replace(/^Request failed: /, ''))
    return `it answered ${statusCode}: ${JSON.stringify(body)}`
  } catch {
    return cause?.message || message
  }
}

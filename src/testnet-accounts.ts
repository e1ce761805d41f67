// npm run testnet-accounts: two accounts on the XRP test network, for the shop and the customer.
import { existsSync, readFileSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { Client, Wallet } from 'xrpl'
import { describe, shutdown } from './terminal/shutdown.ts'
import { printable, reasonOf } from './terminal/text.ts'

const explorer = 'https://testnet.xrpl.org/accounts/'
// Where the faucet is, unless it is the test network's own: a sandbox has both at one address.
const faucetUrl = process.env.FAUCET_URL
const server =
  faucetUrl?.replace(/^http/, 'ws').replace(/\/accounts$/, '') ?? 'wss://s.altnet.rippletest.net:51233'
const file = fileURLToPath(new URL('../.env', import.meta.url))
const names = ['XRP_SHOP_SECRET', 'XRP_CUSTOMER_SECRET']

const known = await readKnown()
if (names.some(name => name in parseEnv(known))) {
  await shutdown(
    1,
    `${file} already contains secrets; left unchanged: to make new accounts, move it away first`
  )
}

const wallets = names.map(() => Wallet.generate())
const separator = known && !known.endsWith('\n') ? '\n' : ''
const secrets = names.map((name, i) => `${name}=${wallets[i]?.seed}\n`).join('')
const text = known + separator + secrets
// The scripts read it as Node.js does.
if (names.some((name, i) => parseEnv(text)[name] !== wallets[i]?.seed)) {
  await shutdown(
    1,
    `${file} cannot be added to, and was left unchanged: write one NAME=value a line, or move it away`
  )
}

const client = new Client(server)
try {
  await client.connect()
} catch (err) {
  await shutdown(
    1,
    `The XRP Testnet at "${server}" cannot be reached (${printable(reasonOf(err))}): check your internet connection`
  )
}

for (const [i, wallet] of wallets.entries()) {
  const name = names[i]
  console.log(`Asking the faucet for an account for ${name} ...`)
  try {
    const { balance } = await client.fundWallet(wallet, faucetAt(faucetUrl))
    console.log(`    - ${wallet.address} has ${balance} XRP: ${explorer}${wallet.address}`)
  } catch (err) {
    await shutdown(
      1,
      `Faucet request failed (${printable(faucetReason(err))}), and nothing was written: try again in a few minutes`
    )
  }
}
await client.disconnect()

// Nobody else may read them, not even for a moment: in a file of their own, since one that was there before may be open.
const unfinished = `${file}.${process.pid}`
try {
  await writeFile(unfinished, text, { mode: 0o600, flag: 'wx' })
  await rename(unfinished, file)
} catch (err) {
  await rm(unfinished, { force: true })
  await shutdown(
    1,
    `${file} could not be written, and was left unchanged (${describe(err)}): make room, then run this again`
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

/** The file of secrets, or an empty text: appending to what is not UTF-8 would make secrets that nobody can read. */
async function readKnown(): Promise<string> {
  try {
    const text = existsSync(file) ? new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file)) : ''
    if (!text.includes('\0')) return text
  } catch {}
  return shutdown(
    1,
    `${file} is not UTF-8, as PowerShell 5 writes; left unchanged: save it as UTF-8, or move it away`
  )
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

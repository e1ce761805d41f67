import type { Page } from './account-reader.ts'
import { type Job, ledgersToLive } from './job.ts'
import type { Json } from './json.ts'
import { parseTransaction, type ValidatedTransaction } from './ledger-transaction.ts'
import { type Ask, errorCode } from './server-socket.ts'

// How many ledgers a server may take to tell what was in one.
const ledgersToTell = 5

/** What is known when a transaction's fate is asked for. */
interface Evidence {
  /** everything up to this ledger has been told */
  lastLedger: number
  /** the lowest sequence that the account has not used by then */
  free: number
  /** the newest ledger that nobody told of */
  lastMissed: number
  lookUp(hash: string): Promise<ValidatedTransaction | undefined>
  /** reads the account's history; `range` has the parameters of `account_tx` */
  search(range: Json): Promise<Page>
}

/**
 * What became of a transaction that no ledger is known to have. It is dead when its last ledger has passed and the
 * account has not used its sequence, or when another transaction has used it.
 *
 * @returns the transaction if a server knows of it after all; 'unknown' if nobody will ever tell
 */
export async function fateOf(
  job: Job,
  { lastLedger, free, lastMissed, lookUp, search }: Evidence
): Promise<ValidatedTransaction | 'dead' | 'open' | 'unknown'> {
  const isUsed = free > job.sequence
  // Had it been ours that used the sequence, the ledgers would have told.
  if (!isUsed || job.firstSentIn > lastMissed) return isUsed || isOver(job, lastLedger) ? 'dead' : 'open'
  // It was used in a ledger that nobody told of, or before this program ran.
  for (const hash of [...job.versions.keys()]) {
    const found = await lookUp(hash)
    if (found) return found
  }
  if (!isOver(job, lastLedger - ledgersToTell)) return 'open'
  return (await isInNone(job, search)) ? 'dead' : 'unknown'
}

/** Whether the account's history is there for all ledgers that a transaction could be in, and does not have it. */
async function isInNone({ versions }: Job, search: Evidence['search']): Promise<boolean> {
  const lastLedgers = [...versions.values()].map(version => version.lastLedger)
  const [first, last] = [Math.min(...lastLedgers) - ledgersToLive, Math.max(...lastLedgers)]
  let marker: unknown
  do {
    const range = { ledger_index_min: first, ledger_index_max: last, forward: true, marker }
    const page = await search(range).catch(err => {
      if (errorCode(err) === undefined) throw err
    })
    if (!page || page.first > first || page.last < last) return false
    if (page.transactions.some(({ hash }) => versions.has(hash))) return false
    marker = page.marker
  } while (marker !== undefined)
  return true
}

/** Whether the last ledger of each of its versions has passed. */
export function isOver(job: Job, lastLedger: number): boolean {
  return (
    job.versions.size > 0 && [...job.versions.values()].every(version => version.lastLedger <= lastLedger)
  )
}

/**
 * Asks for a transaction as it was validated.
 *
 * @param prefix - the ledger's ILP prefix
 * @returns undefined if the server does not know of that
 */
export async function lookUp(
  ask: Ask,
  hash: string,
  prefix: string
): Promise<ValidatedTransaction | undefined> {
  const answer = await ask({ command: 'tx', transaction: hash }).catch(err => {
    if (errorCode(err) === undefined) throw err
  })
  const found = parseTransaction(answer, prefix)
  return found?.hash === hash ? found : undefined
}

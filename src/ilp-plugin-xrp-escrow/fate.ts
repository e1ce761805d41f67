import type { Job } from './job.ts'
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
}

/**
 * What became of a transaction that no ledger is known to have. It is dead when its last ledger has passed and the
 * account has not used its sequence, or when another transaction has used it.
 *
 * @returns the transaction if a server knows of it after all; 'unknown' if nobody will ever tell
 */
export async function fateOf(
  job: Job,
  { lastLedger, free, lastMissed, lookUp }: Evidence
): Promise<ValidatedTransaction | 'dead' | 'open' | 'unknown'> {
  const isUsed = free > job.sequence
  // Had it been ours that used the sequence, the ledgers would have told.
  if (!isUsed || job.firstSentIn > lastMissed) return isUsed || isOver(job, lastLedger) ? 'dead' : 'open'
  // It was used in a ledger that nobody told of, or before this program ran.
  for (const hash of [...job.versions.keys()]) {
    const found = await lookUp(hash)
    if (found) return found
  }
  return isOver(job, lastLedger - ledgersToTell) ? 'unknown' : 'open'
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

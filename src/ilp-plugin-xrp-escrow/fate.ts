import { type Job, ledgersToLive } from './job.ts'
import type { LedgerConnection } from './ledger-connection.ts'
import type { ValidatedTransaction } from './ledger-transaction.ts'
import { errorCode } from './server-socket.ts'

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
}

/**
 * What became of a transaction that no ledger is known to have. It is dead when its last ledger has passed and the
 * account has not used its sequence, or when another transaction has used it.
 *
 * @returns the transaction if a server knows of it after all; 'unknown' if nobody will ever tell
 */
export async function fateOf(
  job: Job,
  { lastLedger, free, lastMissed }: Evidence,
  connection: LedgerConnection
): Promise<ValidatedTransaction | 'dead' | 'open' | 'unknown'> {
  const isUsed = free > job.sequence
  // Had it been ours that used the sequence, the ledgers would have told.
  if (!isUsed || job.firstSentIn > lastMissed) return isUsed || job.isOver(lastLedger) ? 'dead' : 'open'
  // It was used in a ledger that nobody told of, or before this program ran.
  for (const hash of [...job.versions.keys()]) {
    const found = await connection.lookUp(hash)
    if (found) return found
  }
  if (!job.isOver(lastLedger - ledgersToTell)) return 'open'
  return (await isInNone(job, connection)) ? 'dead' : 'unknown'
}

/** Whether the account's history is there for all ledgers that a transaction could be in, and does not have it. */
async function isInNone({ versions }: Job, connection: LedgerConnection): Promise<boolean> {
  const lastLedgers = [...versions.values()].map(version => version.lastLedger)
  const [first, last] = [Math.min(...lastLedgers) - ledgersToLive, Math.max(...lastLedgers)]
  let marker: unknown
  do {
    const range = { ledger_index_min: first, ledger_index_max: last, forward: true, marker }
    const page = await connection.search(range).catch(err => {
      if (errorCode(err) === undefined) throw err
    })
    if (!page || page.first > first || page.last < last) return false
    if (page.transactions.some(({ hash }) => versions.has(hash))) return false
    marker = page.marker
  } while (marker !== undefined)
  return true
}

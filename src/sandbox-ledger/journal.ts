import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync
} from 'node:fs'
import { dirname } from 'node:path'
import { toHex } from './ledger/hashes.ts'
import { blobOf, type ClosedLedger, type LedgerContents } from './ledger/history.ts'
import type { Ledger, Snapshot } from './ledger/ledger.ts'
import { parseTransaction } from './ledger/transaction.ts'

/** The beginnings of a line: of a ledger, and of the state that a compacted journal begins with. */
const BEGINNINGS = ['{"closeTime":', '{"snapshot":']

/** What a compacted journal keeps of the history, at most. */
const KEPT_LEDGERS = 256
const KEPT_TRANSACTIONS = 256
/** A journal is compacted once it is this many times as long as it has to be. */
const COMPACTION_FACTOR = 10

const lineOf = (closeTime: number, blobs: Buffer[]) =>
  `${JSON.stringify({ closeTime, transactions: blobs.map(toHex) })}\n`

/**
 * The file that a journal is to be kept in: the one at the end of all links, if it is a link.
 *
 * Throws an Error that says what to do if nothing can be kept there.
 */
export function journalFile(file: string): string {
  const isThere = existsSync(file)
  if (!isThere && !existsSync(dirname(file)))
    throw new Error(`There is no folder "${dirname(file)}" for the state file "${file}": make it first`)
  if (!isThere) return file
  if (!statSync(file).isFile()) throw new Error(`"${file}" is no file: name one to keep the state in`)
  return realpathSync(file)
}

/**
 * Reads the ledgers in a journal one by one, oldest first; none if there is no file. What a crash has left of a
 * line that was being written is cut off: that ledger has been told to nobody.
 *
 * Throws an Error, with the file as it was, if it is no journal.
 */
export function* readJournal(file: string): Generator<LedgerContents | Snapshot> {
  let rest = ''
  let isJournal = false
  for (const text of chunks(file)) {
    const lines = (rest + text).split('\n')
    rest = lines.pop() as string
    for (const line of lines) yield parseLine(file, line)
    isJournal ||= lines.length > 0
  }
  if (rest === '') return
  const isCutOff = BEGINNINGS.some(beginning => rest.startsWith(beginning) || beginning.startsWith(rest))
  if (!isJournal || !isCutOff) throw notJournal(file)
  truncateSync(file, statSync(file).size - rest.length)
}

/** A file piece by piece, each byte a character: a journal has no others than those of ASCII. */
function* chunks(file: string): Generator<string> {
  if (!existsSync(file)) return
  const descriptor = openSync(file, 'r')
  try {
    const chunk = Buffer.alloc(1024 * 1024)
    for (let length = -1; length !== 0; ) {
      length = readSync(descriptor, chunk)
      yield chunk.toString('latin1', 0, length)
    }
  } finally {
    closeSync(descriptor)
  }
}

const notJournal = (file: string, cause?: unknown) =>
  new Error(`"${file}" holds no state of a sandbox ledger: name another file, or remove it`, { cause })

function parseLine(file: string, line: string): LedgerContents | Snapshot {
  try {
    const { snapshot, closeTime, transactions } = JSON.parse(line)
    if (snapshot) {
      const { header, entries } = snapshot
      return { header: { ...header, totalDrops: BigInt(header.totalDrops) }, entries }
    }
    if (!Number.isInteger(closeTime)) throw new Error('This is no line of a journal')
    const parse = (blob: string) => parseTransaction(Buffer.from(blob, 'hex'), { trusted: true })
    return { closeTime, transactions: transactions.map(parse) }
  } catch (cause) {
    throw notJournal(file, cause)
  }
}

/** Adds every ledger to the journal when it closes, before anybody hears of it. */
export function keepJournal(ledger: Ledger, file: string) {
  if (!existsSync(file) || statSync(file).size === 0)
    appendFileSync(file, lineOf(ledger.closedHeader.closeTime, []))
  ledger.on('close', ({ ledger: { header }, applied }) =>
    appendFileSync(
      file,
      lineOf(
        header.closeTime,
        applied.map(({ transaction }) => transaction.blob)
      )
    )
  )
}

/** The newest ledgers, as many as a compacted journal keeps. */
function newest({ history }: Ledger): ClosedLedger[] {
  const kept: ClosedLedger[] = []
  let transactions = 0
  for (let index = history.last.header.ledgerIndex; kept.length < KEPT_LEDGERS; index--) {
    const ledger = history.ledger(index)
    transactions += ledger?.size ?? 0
    if (!ledger || (transactions > KEPT_TRANSACTIONS && kept.length > 0)) break
    kept.push(ledger)
  }
  return kept.reverse()
}

/**
 * Writes a journal anew that has become ten times as long as it has to be: the state after one of the newest
 * ledgers, and the ledgers since.
 */
export function compactJournal(ledger: Ledger, file: string) {
  const [first, ...rest] = newest(ledger) as [ClosedLedger, ...ClosedLedger[]]
  const { header, entries } = ledger.snapshot(first)
  const snapshot = { header: { ...header, totalDrops: String(header.totalDrops) }, entries }
  const lines = rest.map(({ header, transactions }) => lineOf(header.closeTime, transactions.map(blobOf)))
  const text = [`${JSON.stringify({ snapshot })}\n`, ...lines].join('')
  const { size, mode } = statSync(file)
  if (size <= COMPACTION_FACTOR * Buffer.byteLength(text)) return
  const written = `${file}.${Date.now()}`
  writeFileSync(written, text, { flag: 'wx', mode, flush: true })
  renameSync(written, file)
}

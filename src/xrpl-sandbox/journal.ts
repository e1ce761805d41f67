import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync
} from 'node:fs'
import { dirname } from 'node:path'
import { toHex } from './ledger/hashes.ts'
import type { ClosedLedger, LedgerContents } from './ledger/history.ts'
import type { Ledger, Snapshot } from './ledger/ledger.ts'
import { parseTransaction } from './ledger/transaction.ts'

/** The beginnings of a line: of a ledger, and of the state that a compacted journal begins with. */
const BEGINNINGS = ['{"closeTime":', '{"snapshot":']

/** What a compacted journal keeps of the history, at most. */
const KEPT_LEDGERS = 256
const KEPT_TRANSACTIONS = 256
/** A journal is compacted once it is this many times as long as it has to be. */
const COMPACTION_FACTOR = 10

const lineOf = (closeTime: number, transactions: { blob: Buffer }[]) =>
  `${JSON.stringify({ closeTime, transactions: transactions.map(({ blob }) => toHex(blob)) })}\n`

/** The file that a journal is to be kept in: the one at the end of all links, if it is a link. */
function fileAt(name: string): string {
  const isThere = existsSync(name)
  if (!isThere && !existsSync(dirname(name)))
    throw new Error(`There is no folder "${dirname(name)}" for the state file "${name}": make it first`)
  if (!isThere) return name
  if (!statSync(name).isFile()) throw new Error(`"${name}" is no file: name one to keep the state in`)
  return realpathSync(name)
}

function isRunning(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The locks that this process has. */
const ownLocks = new Set<string>()

/** A file with a line for each ledger, which no other sandbox may write to at the same time. */
export class Journal {
  readonly #file: string
  readonly #lock: string

  /** Throws an Error that says what to do if nothing can be kept there, or another sandbox keeps its state there. */
  constructor(name: string) {
    this.#file = fileAt(name)
    this.#lock = `${this.#file}.lock`
    const owner = existsSync(this.#lock) ? Number(readFileSync(this.#lock, 'utf8')) : 0
    // Who was killed has left its lock. In a container it may have had the number of this process.
    if (owner === process.pid ? ownLocks.has(this.#lock) : isRunning(owner))
      throw new Error(
        `The sandbox ledger of process ${owner} keeps its state in "${name}": stop it, or name another file (if there is none, remove "${this.#lock}")`
      )
    rmSync(this.#lock, { force: true })
    writeFileSync(this.#lock, String(process.pid), { flag: 'wx' })
    ownLocks.add(this.#lock)
  }

  /** Lets others have the file. */
  release() {
    ownLocks.delete(this.#lock)
    rmSync(this.#lock, { force: true })
  }

  /**
   * Reads the ledgers one by one, oldest first; none if there is no file. What a crash has left of a line that was
   * being written is cut off: that ledger has been told to nobody.
   *
   * Throws an Error, with the file as it was, if it is no journal.
   */
  *read(): Generator<LedgerContents | Snapshot> {
    let rest = ''
    let isJournal = false
    for (const text of this.#chunks()) {
      const lines = (rest + text).split('\n')
      rest = lines.pop() as string
      for (const line of lines) yield this.#parse(line)
      isJournal ||= lines.length > 0
    }
    if (rest === '') return
    const isCutOff = BEGINNINGS.some(beginning => rest.startsWith(beginning) || beginning.startsWith(rest))
    if (!isJournal || !isCutOff) throw this.#complaint()
    truncateSync(this.#file, statSync(this.#file).size - rest.length)
  }

  /** The file piece by piece, each byte a character: a journal has no others than those of ASCII. */
  *#chunks(): Generator<string> {
    if (!existsSync(this.#file)) return
    const descriptor = openSync(this.#file, 'r')
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

  #complaint(cause?: unknown) {
    const sentence = `"${this.#file}" holds no state of a sandbox ledger: name another file, or remove it`
    return new Error(sentence, { cause })
  }

  #parse(line: string): LedgerContents | Snapshot {
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
      throw this.#complaint(cause)
    }
  }

  /** Adds every ledger when it closes, before anybody hears of it. */
  keep(ledger: Ledger) {
    if (!existsSync(this.#file) || statSync(this.#file).size === 0)
      appendFileSync(this.#file, lineOf(ledger.closedHeader.closeTime, []))
    ledger.on('close', ({ ledger: { header }, applied }) => {
      const transactions = applied.map(({ transaction }) => transaction)
      appendFileSync(this.#file, lineOf(header.closeTime, transactions))
    })
    this.#compact(ledger)
  }

  /**
   * Writes a journal anew that has become ten times as long as it has to be: the state after one of the newest
   * ledgers, and the ledgers since.
   */
  #compact(ledger: Ledger) {
    const [first, ...rest] = newest(ledger) as [ClosedLedger, ...ClosedLedger[]]
    const { header, entries } = ledger.snapshot(first)
    const snapshot = { header: { ...header, totalDrops: String(header.totalDrops) }, entries }
    const lines = rest.map(({ header, transactions }) => lineOf(header.closeTime, transactions))
    const text = [`${JSON.stringify({ snapshot })}\n`, ...lines].join('')
    const { size, mode } = statSync(this.#file)
    if (size <= COMPACTION_FACTOR * Buffer.byteLength(text)) return
    const written = `${this.#file}.${Date.now()}`
    writeFileSync(written, text, { flag: 'wx', mode, flush: true })
    renameSync(written, this.#file)
  }
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

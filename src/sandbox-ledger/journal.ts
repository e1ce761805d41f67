import { appendFileSync, existsSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { toHex } from './ledger/hashes.ts'
import type { Applied, LedgerContents, LedgerHeader } from './ledger/history.ts'
import type { Ledger } from './ledger/ledger.ts'
import { parseTransaction } from './ledger/transaction.ts'

/**
 * Reads the ledgers in a journal one by one, oldest first; none if there is no file. What a crash has left of a
 * line that was being written is cut off: that ledger has been told to nobody.
 */
export function* readJournal(file: string): Generator<LedgerContents> {
  if (!existsSync(file)) return
  const text = readFileSync(file, 'utf8')
  const end = text.lastIndexOf('\n') + 1
  for (let start = 0; start < end; ) {
    const next = text.indexOf('\n', start) + 1
    yield parseLine(file, text.slice(start, next))
    start = next
  }
  if (end < text.length) truncateSync(file, Buffer.byteLength(text.slice(0, end)))
}

function parseLine(file: string, line: string): LedgerContents {
  try {
    const { closeTime, transactions } = JSON.parse(line) as { closeTime: number; transactions: string[] }
    const parse = (blob: string) => parseTransaction(Buffer.from(blob, 'hex'), { trusted: true })
    return { closeTime, transactions: transactions.map(parse) }
  } catch (cause) {
    throw new Error(`"${file}" holds no state of a sandbox ledger: name another file, or remove it`, {
      cause
    })
  }
}

/** Adds every ledger to the journal when it closes, before anybody hears of it. */
export function keepJournal(ledger: Ledger, file: string) {
  const append = ({ closeTime }: LedgerHeader, applied: Applied[]) => {
    const line = { closeTime, transactions: applied.map(({ transaction }) => toHex(transaction.blob)) }
    appendFileSync(file, `${JSON.stringify(line)}\n`)
  }
  if (!existsSync(file) || statSync(file).size === 0) append(ledger.closedHeader, [])
  ledger.on('close', ({ ledger: { header }, applied }) => append(header, applied))
}

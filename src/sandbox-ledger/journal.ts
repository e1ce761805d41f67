import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs'
import { toHex } from './hashes.ts'
import type { ClosedLedger } from './history.ts'
import { parseTransaction, type Transaction } from './transaction.ts'

/** A closed ledger as the journal keeps it: all that is needed to close it once more. */
export interface JournalEntry {
  closeTime: number
  transactions: Transaction[]
}

/**
 * Reads the ledgers in a journal, oldest first; none if there is no file. What a crash has left of a line
 * that was being written is cut off: that ledger has been told to nobody.
 */
export function readJournal(file: string): JournalEntry[] {
  if (!existsSync(file)) return []
  const text = readFileSync(file, 'utf8')
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  if (whole.length < text.length) truncateSync(file, Buffer.byteLength(whole))
  try {
    return whole
      .split('\n')
      .slice(0, -1)
      .map(line => {
        const { closeTime, transactions } = JSON.parse(line) as { closeTime: number; transactions: string[] }
        const parse = (blob: string) => parseTransaction(Buffer.from(blob, 'hex'), { trusted: true })
        return { closeTime, transactions: transactions.map(parse) }
      })
  } catch (cause) {
    throw new Error(`"${file}" holds no state of a sandbox ledger: name another file, or remove it`, {
      cause
    })
  }
}

/** Adds a ledger to a journal, before anybody hears of it. */
export function appendToJournal(file: string, { header, transactions }: ClosedLedger) {
  const line = { closeTime: header.closeTime, transactions: transactions.map(({ blob }) => toHex(blob)) }
  appendFileSync(file, `${JSON.stringify(line)}\n`)
}

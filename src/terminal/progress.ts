/** What a script reports to `npm start`: shop and client know a payment by the id of its transfer. */
export type ProgressEvent =
  | { event: 'listening'; url: string }
  | { event: 'notice'; text: string }
  | { event: 'letter'; id: string; letter: string }
  | { event: PaymentState; id: string; amount: string }

/** Where a payment stands: on its way to the ledger, in escrow there, or with an outcome. */
export type PaymentState = 'sent' | 'locked' | 'unknown' | 'fulfilled' | 'returned' | 'failed'

// Each look at the environment is a system call.
const isReporting = Boolean(process.env.REPORT_PROGRESS)

/** Reports to the process that started this script, if that is `npm start`. */
export function report(event: ProgressEvent): void {
  if (isReporting && process.connected) process.send?.(event)
}

/** Prints a line that `npm start` shows too. */
export function notice(text: string): void {
  console.log(text)
  report({ event: 'notice', text: text.trim().replace(/^- /, '') })
}

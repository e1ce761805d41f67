interface Difference {
  what: string
  why: string
  /** The recorded step that shows it, and what the sandbox answers there instead. */
  recorded?: string
  answer?: object
}

/** What the sandbox does otherwise than the recorded rippled 1.9.3, on purpose: the whole list. */
export const deliberateDifferences: Difference[] = [
  {
    what: 'An account that is no address is refused as actMalformed.',
    why: 'rippled 1.9.3 takes it for the passphrase of an account; later versions no longer do.',
    recorded: 'account_info of a malformed address',
    answer: { error: 'actMalformed', error_code: 35, error_message: 'Account malformed.' }
  },
  {
    what: 'Transactions other than Payment, EscrowCreate, EscrowFinish and EscrowCancel get temDISABLED.',
    why: "It is rippled's answer for what a network has not enabled."
  },
  {
    what: 'The server signs nothing: a secret in a request gets notSupported.',
    why: 'Public servers answer so; everybody should sign at home.'
  },
  {
    what: 'The state holds accounts, escrows and directories only, no amendments, fee settings or ledger hashes.',
    why: 'Nothing here reads them. All hashes are true hashes, of a state without them.'
  },
  {
    what: 'Fees rise and transactions are queued only with openLedgerLimit, and then for five ledgers at most.',
    why: 'One machine has no use for an auction of its ledger space, except to test what an auction does.'
  },
  {
    what: 'API version 2 is spoken as well, as rippled 2.0.0 does; server_info names that version.',
    why: 'Current clients ask for it.'
  }
]

interface Difference {
  what: string
  why: string
  /** The recorded step that shows it, and what the sandbox answers there instead. */
  recorded?: string
  answer?: object
}

/** What the sandbox does otherwise than the recorded rippled 2.3.0, on purpose: the whole list. */
export const deliberateDifferences: Difference[] = [
  {
    what: 'Nobody is called at a URL: a subscription that names one gets noPermission.',
    why: 'It is what rippled answers to everybody but its administrator; the sandbox reaches out to nobody.',
    recorded: 'subscribe {"url":"http://127.0.0.1:1/"}',
    answer: { error: 'noPermission' }
  },
  {
    what: 'The same, to end such a subscription.',
    why: 'There is none.',
    recorded: 'unsubscribe {"url":"http://127.0.0.1:1/"}',
    answer: { error: 'noPermission' }
  },
  {
    what: 'Transactions of other types than payments, escrows, tickets, AccountSet and SetRegularKey get temDISABLED.',
    why: "It is rippled's answer for what a network has not enabled."
  },
  {
    what: 'The server signs nothing: a secret in a request gets notSupported.',
    why: 'Public servers answer so; everybody should sign at home.'
  },
  {
    what: 'The state holds accounts, escrows, tickets and directories only, no amendments, fee settings or ledger hashes.',
    why: 'Nothing here reads them. All hashes are true hashes, of a state without them.'
  },
  {
    what: 'Fees rise and transactions are queued only with openLedgerLimit, and then for seven ledgers at most.',
    why: 'One machine has no use for an auction of its ledger space, except to test what an auction does.'
  },
  {
    what: 'Commands of administrators and of paths, AMMs, NFTs and oracles are unknown.',
    why: 'They are about what is not here.'
  },
  {
    what: 'The history stream of an account gets notSupported.',
    why: 'It is an experiment of rippled that it may drop, as its answer says.'
  },
  {
    what: 'Ledger 1, which a stand-alone rippled makes up and does not count to its complete_ledgers, is not found.',
    why: 'Nothing has ever happened in it.'
  },
  {
    what: 'A request is JSON: one with a comment, a raw tab in a string or a number with a leading zero is jsonInvalid.',
    why: "rippled's parser takes these as well, but no client writes them."
  },
  {
    what: "server_definitions has the fields and types of a later server, and not those of another ledger's hooks.",
    why: 'They are those of ripple-binary-codec, which the sandbox reads and writes by; what both know is the same.'
  }
]

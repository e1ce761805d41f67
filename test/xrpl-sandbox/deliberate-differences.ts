interface Difference {
  what: string
  why: string
  /** The recorded steps that show it. */
  recorded?: RegExp
}

/** What the sandbox answers otherwise than the recorded rippled 3.2.0, on purpose: the whole list. */
export const deliberateDifferences: Difference[] = [
  {
    what: 'A subscription that names a URL gets noPermission.',
    why: 'It is what rippled answers to everybody but its administrator; the sandbox calls nobody.',
    recorded: /subscribe \{"url"/
  },
  {
    what: 'The lists that are always empty refuse every marker, and malformed addresses, in one way.',
    why: 'rippled words it otherwise from one command to the next, about things that are not here.',
    recorded: /^account_(channels|nfts) of a malformed|^account_(channels|lines) with a marker/
  },
  {
    what: 'account_tx finds and refuses the ledger in a request as all other commands do.',
    why: 'rippled has words of its own for it there, and takes no number in a string.'
  },
  {
    what: 'ledger_entry does not name the index of an entry of a type that is not here.',
    why: 'How it is derived belongs to the type.',
    recorded: /^ledger_entry: (offer|deposit_preauth) that does not exist/
  },
  {
    what: 'Other types of transactions than payments, escrows, tickets, AccountSet and SetRegularKey get temDISABLED.',
    why: "It is rippled's answer for what a network has not enabled."
  },
  {
    what: 'Amounts of anything but XRP get temBAD_AMOUNT.',
    why: 'Nothing else exists on this ledger.'
  },
  {
    what: 'Commands about tokens, offers, paths, AMMs, NFTs, oracles and of administrators are unknownCmd.',
    why: 'They are about what is not here.'
  },
  {
    what: 'The server signs nothing: a secret in a request gets notSupported.',
    why: 'Public servers answer so; everybody should sign at home.'
  },
  {
    what: 'The state holds accounts, escrows, tickets, directories, the fees and the amendments followed here only.',
    why: 'Nothing here reads the rest, ledger hashes and other amendments. All hashes are true hashes of this state.'
  },
  {
    what: 'Fees rise only when a test sets them, and a transaction that pays too little is then queued without limit.',
    why: 'One machine has no use for an auction of its ledger space, except to test what it does to a client.'
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
    what: 'A number such as 1e1 or 10.0 is the integer 10, and 1e10 is too large an integer: jsonInvalid.',
    why: 'JSON.parse keeps no difference; rippled refuses them only where it wants an integer.'
  },
  {
    what: 'server_definitions has the fields, types, flags and formats of ripple-binary-codec.',
    why: 'The sandbox reads and writes by them; what both know is the same.'
  }
]

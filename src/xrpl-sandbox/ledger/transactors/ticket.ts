import { addToDirectory, removeFromDirectory } from '../directory.ts'
import { indexOf } from '../hashes.ts'
import { type AccountRoot, accountOf, readEntry, type Ticket, untouched, type View } from '../state.ts'
import { drops, reserve, type Transactor, updateAccount } from './transactor.ts'

/** How many tickets one transaction makes, and how many an account may have. */
const maxTickets = 250

// Source: rippled 3.2.0, tx/transactors/system/TicketCreate.cpp.
export const ticketCreate: Transactor = {
  preflight({ TicketCount = 0 }) {
    return TicketCount < 1 || TicketCount > maxTickets ? 'temINVALID_COUNT' : 'tesSUCCESS'
  },

  preclaim({ Account, TicketCount = 0, TicketSequence }, state) {
    const { TicketCount: has = 0 } = accountOf(state, Account) as AccountRoot
    const used = TicketSequence === undefined ? 0 : 1
    return has + TicketCount - used > maxTickets ? 'tecDIR_FULL' : 'tesSUCCESS'
  },

  apply({ Account, TicketCount = 0, Fee }, view, context) {
    const { Balance, OwnerCount, Sequence: first } = accountOf(view, Account) as AccountRoot
    // The fee may be paid out of the reserve.
    if (drops(Balance) + drops(Fee) < reserve(context, OwnerCount + TicketCount))
      return 'tecINSUFFICIENT_RESERVE'
    for (let TicketSequence = first; TicketSequence < first + TicketCount; TicketSequence++) {
      const index = indexOf.ticket(Account, TicketSequence)
      view.write(index, {
        LedgerEntryType: 'Ticket',
        Account,
        OwnerNode: addToDirectory(view, Account, index),
        TicketSequence,
        ...untouched
      })
    }
    updateAccount(view, Account, account => ({
      OwnerCount: OwnerCount + TicketCount,
      Sequence: first + TicketCount,
      TicketCount: (account.TicketCount ?? 0) + TicketCount
    }))
    return 'tesSUCCESS'
  }
}

/** Takes a ticket that must be there out of the ledger. */
export function useTicket(view: View, account: string, sequence: number) {
  const index = indexOf.ticket(account, sequence)
  const ticket = readEntry(view, 'Ticket', index) as Ticket
  removeFromDirectory(view, account, ticket.OwnerNode, index)
  view.erase(index)
  updateAccount(view, account, ({ OwnerCount, TicketCount = 1 }) => ({
    OwnerCount: OwnerCount - 1,
    TicketCount: TicketCount - 1 || undefined
  }))
}

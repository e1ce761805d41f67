import { indexOf } from './hashes.ts'
import { type DirectoryNode, readEntry, type State, untouched, type View } from './state.ts'

const maxPageEntries = 32

// Page numbers are UInt64: hexadecimal strings in JSON.
const pageNumber = (value = '0') => Number.parseInt(value, 16)
const pageName = (page: number) => page.toString(16)

function page(state: State, root: string, number: number): { index: string; node: DirectoryNode } {
  const index = indexOf.directoryPage(root, number)
  return { index, node: readEntry(state, 'DirectoryNode', index) as DirectoryNode }
}

/**
 * Enters `entry` (an index) in the directory of `owner`: in its last page, or in a new page if that is full.
 * Returns the page's number as the entry keeps it. Source: rippled, ledger/impl/ApplyView.cpp, dirAdd.
 */
export function addToDirectory(view: View, owner: string, entry: string): string {
  const root = indexOf.ownerDirectory(owner)
  const common = {
    LedgerEntryType: 'DirectoryNode',
    Owner: owner,
    RootIndex: root,
    ...untouched
  } as const
  const first = readEntry(view, 'DirectoryNode', root)
  if (!first) {
    view.write(root, { ...common, Indexes: [entry] })
    return '0'
  }
  const lastNumber = pageNumber(first.IndexPrevious)
  const last = page(view, root, lastNumber)
  if (last.node.Indexes.length < maxPageEntries) {
    view.write(last.index, { ...last.node, Indexes: [...last.node.Indexes, entry].sort() })
    return pageName(lastNumber)
  }
  const number = lastNumber + 1
  view.write(last.index, { ...last.node, IndexNext: pageName(number) })
  view.write(root, { ...page(view, root, 0).node, IndexPrevious: pageName(number) })
  view.write(indexOf.directoryPage(root, number), {
    ...common,
    Indexes: [entry],
    ...(lastNumber > 0 && { IndexPrevious: pageName(lastNumber) })
  })
  return pageName(number)
}

/**
 * Takes `entry` out of its page of the directory of `owner`. A page that this empties goes away, the first
 * one stays. Source: rippled, ledger/impl/ApplyView.cpp, dirRemove.
 */
export function removeFromDirectory(view: View, owner: string, pageOfEntry: string, entry: string) {
  const root = indexOf.ownerDirectory(owner)
  const number = pageNumber(pageOfEntry)
  const { index, node } = page(view, root, number)
  const Indexes = node.Indexes.filter(other => other !== entry)
  view.write(index, { ...node, Indexes })
  if (Indexes.length > 0 || number === 0) return
  const previous = pageNumber(node.IndexPrevious)
  const next = pageNumber(node.IndexNext)
  const before = page(view, root, previous)
  view.write(before.index, { ...before.node, IndexNext: pageName(next) })
  const after = page(view, root, next)
  view.write(after.index, { ...after.node, IndexPrevious: pageName(previous) })
  view.erase(index)
}

/** The indexes in an account's directory, page by page, each with its page's index. */
export function* directoryEntries(state: State, owner: string, fromPage = indexOf.ownerDirectory(owner)) {
  const root = indexOf.ownerDirectory(owner)
  for (let index = fromPage; ; ) {
    const node = readEntry(state, 'DirectoryNode', index)
    if (node?.RootIndex !== root) return
    for (const entry of node.Indexes) yield { page: index, entry }
    const next = pageNumber(node.IndexNext)
    if (next === 0) return
    index = indexOf.directoryPage(root, next)
  }
}

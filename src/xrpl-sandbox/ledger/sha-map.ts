import { hashPrefix, sha512Half } from './hashes.ts'

const emptyHash = Buffer.alloc(32)

interface Leaf {
  key: string
  hash: Buffer
}

interface Inner {
  children: (Leaf | Inner | undefined)[]
  /** Undefined since the last change below. */
  hash?: Buffer | undefined
}

type Node = Leaf | Inner

const isLeaf = (node: Node): node is Leaf => 'key' in node
const newInner = (): Inner => ({ children: Array(16).fill(undefined) })
const branch = (key: string, depth: number) => Number.parseInt(key[depth] as string, 16)

function put(node: Inner, leaf: Leaf, depth: number) {
  node.hash = undefined
  const slot = branch(leaf.key, depth)
  const child = node.children[slot]
  if (!child || (isLeaf(child) && child.key === leaf.key)) {
    node.children[slot] = leaf
  } else if (isLeaf(child)) {
    const inner = newInner()
    node.children[slot] = inner
    put(inner, child, depth + 1)
    put(inner, leaf, depth + 1)
  } else {
    put(child, leaf, depth + 1)
  }
}

/** Removes a key; an inner node that is left with one leaf gives way to that leaf. */
function remove(node: Inner, key: string, depth: number) {
  node.hash = undefined
  const slot = branch(key, depth)
  const child = node.children[slot]
  if (!child) return
  if (isLeaf(child)) {
    if (child.key === key) node.children[slot] = undefined
    return
  }
  remove(child, key, depth + 1)
  const left = child.children.filter(grandchild => grandchild !== undefined)
  if (left.length === 0) node.children[slot] = undefined
  else if (left.length === 1 && isLeaf(left[0] as Node)) node.children[slot] = left[0]
}

function hashOf(node: Node | undefined): Buffer {
  if (!node) return emptyHash
  node.hash ??= sha512Half(hashPrefix.innerNode, ...(node as Inner).children.map(hashOf))
  return node.hash
}

/**
 * The radix tree whose root hash stands for a whole set: all entries of a ledger's state, or all transactions
 * of a ledger. A change costs the hashes on its path only. Source: rippled, shamap/README.md.
 */
export class ShaMap {
  readonly #root = newInner()

  /** `key`: 64 hex digits; `hash`: 32 bytes that cover the key and what it stands for. */
  set(key: string, hash: Buffer) {
    put(this.#root, { key, hash }, 0)
  }

  delete(key: string) {
    remove(this.#root, key, 0)
  }

  rootHash(): Buffer {
    return this.#root.children.some(child => child !== undefined) ? hashOf(this.#root) : emptyHash
  }
}

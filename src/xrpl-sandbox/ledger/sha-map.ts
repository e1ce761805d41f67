import { hashPrefix, sha512Half, toHex, zeroHash } from './hashes.ts'

interface Leaf<T> {
  key: string
  hash: string
  value: T
}

interface Inner<T> {
  readonly children: readonly (Node<T> | undefined)[]
  /** Undefined until somebody asks for it. */
  hash?: string
}

/** Nodes are never changed, only replaced. */
type Node<T> = Leaf<T> | Inner<T>

const isLeaf = <T>(node: Node<T>): node is Leaf<T> => 'key' in node
const noChildren = Array(16).fill(undefined)
const branch = (key: string, depth: number) => Number.parseInt(key[depth] as string, 16)

/** What takes a node's place when a key gets a leaf, or loses the one it has. */
function replace<T>(
  node: Node<T> | undefined,
  key: string,
  leaf: Leaf<T> | undefined,
  depth: number
): Node<T> | undefined {
  if (!node || (isLeaf(node) && node.key === key)) return leaf
  if (isLeaf(node) && !leaf) return node
  const before = isLeaf(node) ? noChildren.with(branch(node.key, depth), node) : node.children
  const slot = branch(key, depth)
  const children = before.with(slot, replace(before[slot], key, leaf, depth + 1))
  // An inner node that is left with one leaf gives way to that leaf.
  const [only, ...others] = children.filter(child => child !== undefined)
  return depth > 0 && others.length === 0 && (!only || isLeaf(only)) ? only : { children }
}

function hashOf<T>(node: Node<T> | undefined): string {
  if (!node) return zeroHash
  node.hash ??= toHex(
    sha512Half(hashPrefix.innerNode, Buffer.from((node as Inner<T>).children.map(hashOf).join(''), 'hex'))
  )
  return node.hash
}

function* leaves<T>(node: Node<T> | undefined): Generator<Leaf<T>> {
  if (!node) return
  if (isLeaf(node)) yield node
  else for (const child of node.children) yield* leaves(child)
}

/**
 * The radix tree whose root hash stands for a whole set: all entries of a ledger's state, or all transactions
 * of a ledger. A change costs the nodes on its path only. Source: rippled, shamap/README.md.
 */
export class ShaMap<T> {
  #root: Inner<T> = { children: noChildren }

  /** What stands at a key (64 upper-case hex digits). */
  read(key: string): T | undefined {
    let node: Node<T> | undefined = this.#root
    for (let depth = 0; node && !isLeaf(node); depth++) node = node.children[branch(key, depth)]
    return node?.key === key ? node.value : undefined
  }

  /** `hash` covers the key and the value. */
  set(key: string, hash: string, value: T) {
    this.#root = replace(this.#root, key, { key, hash, value }, 0) as Inner<T>
  }

  delete(key: string) {
    this.#root = replace(this.#root, key, undefined, 0) as Inner<T>
  }

  /** All keys, in order. */
  indexes(): string[] {
    return Array.from(leaves(this.#root), ({ key }) => key)
  }

  rootHash(): string {
    return this.#root.children.some(child => child !== undefined) ? hashOf(this.#root) : zeroHash
  }

  /** A map that begins with what this one holds now, and shares what it does not change. */
  copy(): ShaMap<T> {
    const copy = new ShaMap<T>()
    copy.#root = this.#root
    return copy
  }
}

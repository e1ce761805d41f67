import { deflateRawSync, inflateRawSync } from 'node:zlib'

const PAGE_BYTES = 64 * 1024
const CACHED_PAGES = 16
/** More than a page has bytes. */
const ADDRESSES_PER_PAGE = 2 ** 26

/**
 * Records that are kept for long and seldom asked for: in compressed pages outside of the memory that the garbage
 * collector walks. Old ones can be forgotten.
 */
export class Archive {
  readonly #pages = new Map<number, Buffer>()
  /** The pages read last, the longest unread first. */
  readonly #cache = new Map<number, Buffer>()
  #number = 0
  /** The page that is being filled. */
  #page = Buffer.allocUnsafeSlow(PAGE_BYTES)
  #end = 0
  #compressedBytes = 0

  /** What it takes of the memory, but for the page that is being filled. */
  get bytes(): number {
    return this.#compressedBytes
  }

  /** Keeps a record, given in parts, and returns where it is: a number above those of all before. */
  append(parts: Uint8Array[]): number {
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    if (this.#end + 4 + length > this.#page.length) this.#turn(length)
    const address = this.#number * ADDRESSES_PER_PAGE + this.#end
    this.#end = this.#page.writeUInt32BE(length, this.#end)
    for (const part of parts) {
      this.#page.set(part, this.#end)
      this.#end += part.length
    }
    return address
  }

  #turn(length: number) {
    const page = deflateRawSync(this.#page.subarray(0, this.#end), { level: 1 })
    this.#compressedBytes += page.length
    this.#pages.set(this.#number++, page)
    if (this.#page.length < 4 + length) this.#page = Buffer.allocUnsafeSlow(4 + length)
    this.#end = 0
  }

  read(address: number): Buffer {
    const page = this.#open(Math.floor(address / ADDRESSES_PER_PAGE))
    const start = (address % ADDRESSES_PER_PAGE) + 4
    const record = page.subarray(start, start + page.readUInt32BE(start - 4))
    return page === this.#page ? Buffer.from(record) : record // that page is written anew
  }

  #open(number: number): Buffer {
    if (number === this.#number) return this.#page
    const page = this.#cache.get(number) ?? inflateRawSync(this.#pages.get(number) as Buffer)
    this.#cache.delete(number)
    this.#cache.set(number, page)
    for (const [oldest] of this.#cache) {
      if (this.#cache.size <= CACHED_PAGES) break
      this.#cache.delete(oldest)
    }
    return page
  }

  /** Forgets what is before an address, page by page. */
  forgetBefore(address: number) {
    const first = Math.floor(address / ADDRESSES_PER_PAGE)
    for (const [number, page] of this.#pages) {
      if (number >= first) return
      this.#compressedBytes -= page.length
      this.#pages.delete(number)
    }
  }
}

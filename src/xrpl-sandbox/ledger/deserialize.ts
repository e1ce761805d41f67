import { encodeAccountID } from 'ripple-address-codec'
import { coreTypes, DEFAULT_DEFINITIONS as definitions } from 'ripple-binary-codec'
import { memoize } from './hashes.ts'
import { type Field, names } from './serialize.ts'

const maxNesting = 10
const objectEnd = 'ObjectEndMarker'
const arrayEnd = 'ArrayEndMarker'

/** Looked up by number: a string for each field that is read would be much garbage. */
const fieldsByOrdinal = definitions.field as unknown as Record<number, Field | undefined>

const addressOf = memoize(id => encodeAccountID(Buffer.from(id, 'hex')))

/** Where a reader stands in the bytes. It is a parser as well for the types of ripple-binary-codec. */
class Cursor {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  read(length: number): Buffer {
    const end = this.at + length
    if (end > this.bytes.length) throw new Error('The data end within a field')
    const part = this.bytes.subarray(this.at, end)
    this.at = end
    return part
  }

  skip(length: number) {
    this.read(length)
  }

  peek(): number {
    if (this.end()) throw new Error('The data end within a field')
    return this.bytes[this.at] as number
  }

  end(): boolean {
    return this.at === this.bytes.length
  }

  size(): number {
    return this.bytes.length - this.at
  }

  readUInt8(): number {
    const value = this.peek()
    this.at++
    return value
  }

  hex(length: number): string {
    return this.read(length).toString('hex').toUpperCase()
  }

  /** Source: xrpl.org "Serialization Format", Field IDs. */
  field(): Field {
    const first = this.readUInt8()
    const type = first >> 4 || this.#longCode()
    const name = first & 15 || this.#longCode()
    const field = fieldsByOrdinal[(type << 16) | name]
    if (!field?.isSerialized) throw new Error('Unknown field')
    return field
  }

  #longCode(): number {
    const code = this.readUInt8()
    if (code < 16) throw new Error('Unknown field')
    return code
  }

  /** Source: xrpl.org "Serialization Format", Length Prefixing. */
  length(): number {
    const first = this.readUInt8()
    if (first <= 192) return first
    const second = this.readUInt8()
    if (first <= 240) return 193 + (first - 193) * 256 + second
    if (first === 255) throw new Error('Invalid length of a field')
    return 12481 + (first - 241) * 65536 + second * 256 + this.readUInt8()
  }
}

function named(value: number, { name }: Field): number | string {
  const known = names[name]
  if (!known) return value
  const named = known.from(value)
  if (!named) throw new Error(`Invalid ${name} ${value}`)
  return named.name
}

type OwnClass = {
  fromParser(cursor: Cursor, length?: number): { toJSON(definitions?: unknown, name?: string): unknown }
}

/** As ripple-binary-codec reads it. */
function readByOwnClass(cursor: Cursor, { type, name }: Field, length?: number): unknown {
  const known = coreTypes[type.name] as unknown as OwnClass
  return known.fromParser(cursor, length).toJSON(undefined, name)
}

function readAmount(cursor: Cursor, field: Field): unknown {
  if (cursor.peek() & 0xa0) return readByOwnClass(cursor, field) // no XRP
  const value = cursor.read(8).readBigUInt64BE()
  const drops = value & 0x3fffffffffffffffn
  if (value >> 62n) return String(drops)
  if (drops === 0n) throw new Error('Negative zero is not canonical')
  return `-${drops}`
}

/** The value of a field in rippled's JSON. */
function readValue(cursor: Cursor, field: Field, depth: number): unknown {
  const length = field.isVariableLengthEncoded ? cursor.length() : undefined
  switch (field.type.name) {
    case 'UInt8':
      return named(cursor.readUInt8(), field)
    case 'UInt16':
      return named(cursor.read(2).readUInt16BE(), field)
    case 'UInt32':
      return cursor.read(4).readUInt32BE()
    case 'UInt64':
      return cursor.read(8).readBigUInt64BE().toString(16)
    case 'Hash128':
      return cursor.hex(16)
    case 'Hash256':
      return cursor.hex(32)
    case 'Blob':
      return cursor.hex(length as number)
    case 'AccountID':
      if (length !== 20 && length !== 0) throw new Error('Invalid account')
      return length === 0 ? '' : addressOf(cursor.hex(20))
    case 'Amount':
      return readAmount(cursor, field)
    case 'Vector256':
      return Array.from({ length: (length as number) / 32 }, () => cursor.hex(32))
    case 'STObject':
      return readObject(cursor, depth + 1)
    case 'STArray':
      return readArray(cursor, depth + 1)
    default:
      return readByOwnClass(cursor, field, length)
  }
}

function readObject(cursor: Cursor, depth: number): object {
  if (depth > maxNesting) throw new Error('Objects are nested too deep')
  const object: Record<string, unknown> = {}
  for (;;) {
    const field = cursor.field()
    if (field.name === objectEnd) return object
    if (field.name in object) throw new Error('Duplicate field detected')
    object[field.name] = readValue(cursor, field, depth)
  }
}

function readArray(cursor: Cursor, depth: number): object[] {
  const array: object[] = []
  for (;;) {
    const field = cursor.field()
    if (field.name === arrayEnd) return array
    if (field.type.name !== 'STObject' || field.name === objectEnd) throw new Error('Non-object in array')
    array.push({ [field.name]: readObject(cursor, depth + 1) })
  }
}

/** The bytes of one field, with its header. */
export interface Part {
  field: Field
  bytes: Buffer
}

/**
 * Reads what `serialize` writes: the object in rippled's JSON, and the bytes of each of its fields, both in
 * canonical order, whatever the order of the bytes. Throws an Error if they are not such an object.
 */
export function deserialize(bytes: Buffer): { fields: Record<string, unknown>; parts: Part[] } {
  const cursor = new Cursor(bytes)
  const read: (Part & { value: unknown })[] = []
  let inOrder = true
  while (!cursor.end()) {
    const start = cursor.at
    const field = cursor.field()
    if (field.name === objectEnd || field.name === arrayEnd) throw new Error('Stray end of an object')
    const value = readValue(cursor, field, 0)
    const before = read.at(-1)?.field.ordinal ?? -1
    if (before >= field.ordinal) inOrder = false
    read.push({ field, value, bytes: bytes.subarray(start, cursor.at) })
  }
  if (!inOrder) read.sort((a, b) => a.field.ordinal - b.field.ordinal)
  const object: Record<string, unknown> = {}
  for (const { field, value } of read) {
    if (field.name in object) throw new Error('Duplicate field detected')
    object[field.name] = value
  }
  return { fields: object, parts: read }
}

import { encodeAccountID } from 'ripple-address-codec'
import { decode, DEFAULT_DEFINITIONS as definitions, encode, encodeForSigning } from 'ripple-binary-codec'
import { accountId, memoize } from './hashes.ts'

type Field = ReturnType<typeof definitions.field.fromString>
type Fields = Record<string, unknown>

const maxNesting = 10
const objectEnd = 'ObjectEndMarker'
const arrayEnd = 'ArrayEndMarker'

/** Fields whose numbers have names. */
const named: Record<string, { from(value: string | number): { ordinal: number; name: string } | undefined }> =
  {
    TransactionType: definitions.transactionType,
    LedgerEntryType: definitions.ledgerEntryType,
    TransactionResult: definitions.transactionResult
  } as never

/** Looked up by number: a string for each field that is read would be much garbage. */
const fieldsByOrdinal = definitions.field as unknown as Record<number, Field | undefined>

const addressOf = memoize(id => encodeAccountID(Buffer.from(id, 'hex')))

/** The bytes of whole numbers by the names of their types. */
const numberBytes: Record<string, number> = { UInt8: 1, UInt16: 2, UInt32: 4 }
const hashBytes: Record<string, number> = { Hash128: 16, Hash256: 32 }

/** A type that nothing on this ledger uses. */
class UnusedType extends Error {}

/** What is being written; it grows as it must, and is used again and again. */
let bytes = Buffer.alloc(64 * 1024)
let end = 0

/** Makes room for so many bytes. */
function take(length: number): number {
  const start = end
  end += length
  if (end > bytes.length) bytes = Buffer.concat([bytes, Buffer.alloc(Math.max(bytes.length, length))])
  return start
}

function put(part: Uint8Array) {
  const start = take(part.length)
  bytes.set(part, start)
}

function putNumber(value: number, length: number) {
  const start = take(length)
  bytes.writeUIntBE(value, start, length)
}

function putHex(hex: string) {
  const start = take(hex.length / 2)
  bytes.write(hex, start, 'hex')
}

/** What stands before data of variable length. Source: xrpl.org "Serialization Format", Length Prefixing. */
export function lengthPrefix(length: number): Buffer {
  if (length <= 192) return Buffer.from([length])
  if (length <= 12480) return Buffer.from([193 + ((length - 193) >> 8), (length - 193) & 0xff])
  const rest = length - 12481
  return Buffer.from([241 + (rest >> 16), (rest >> 8) & 0xff, rest & 0xff])
}

function putLength(length: number) {
  if (length <= 192) putNumber(length, 1)
  else put(lengthPrefix(length))
}

function putValue({ type, name }: Field, value: unknown) {
  switch (type.name) {
    case 'UInt8':
    case 'UInt16':
    case 'UInt32': {
      const number = typeof value === 'number' ? value : named[name]?.from(value as string)?.ordinal
      return putNumber(number as number, numberBytes[type.name] as number)
    }
    case 'UInt64':
      return putHex((value as string).padStart(16, '0'))
    case 'Hash128':
    case 'Hash256':
      return putHex(value as string)
    case 'Amount': {
      const start = take(8)
      return bytes.writeBigUInt64BE(BigInt(value as string) | 0x4000000000000000n, start)
    }
    case 'Blob':
      putLength((value as string).length / 2)
      return putHex(value as string)
    case 'AccountID': {
      const id = value === '' ? Buffer.alloc(0) : accountId(value as string)
      putLength(id.length)
      return put(id)
    }
    case 'Vector256':
      putLength((value as string[]).length * 32)
      return (value as string[]).forEach(putHex)
    case 'STObject':
      putFields(value as object, false)
      return putNumber(0xe1, 1)
    case 'STArray':
      for (const element of value as object[]) putFields(element, false)
      return putNumber(0xf1, 1)
    default:
      throw new UnusedType(type.name)
  }
}

function putFields(object: object, forSigning: boolean) {
  const values = object as Fields
  const fields: Field[] = []
  for (const name in values) {
    const field = definitions.field.fromString(name)
    const isWanted = forSigning ? field?.isSigningField : field?.isSerialized
    if (isWanted && values[name] !== undefined) fields.push(field)
  }
  fields.sort((a, b) => a.ordinal - b.ordinal)
  for (const field of fields) {
    put(field.header)
    putValue(field, values[field.name])
  }
}

/**
 * Writes a transaction, metadata or an entry of the ledger: the same bytes that `encode` of ripple-binary-codec gives,
 * many times faster, because every ledger hash needs the bytes of all metadata.
 *
 * @param object - in rippled's JSON
 * @param options.forSigning - leave out what is not signed
 * Source: xrpl.org "Serialization Format"
 */
export function serialize(object: object, { forSigning = false } = {}): Buffer {
  end = 0
  putFields(object, forSigning)
  return Buffer.from(bytes.subarray(0, end))
}

/** Reads the types that are used here. */
class Reader {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  read(length: number): Buffer {
    const start = this.at
    this.at += length
    if (this.at > this.bytes.length) throw new Error('The data end within a field')
    return this.bytes.subarray(start, this.at)
  }

  number(length: number): number {
    return this.read(length).readUIntBE(0, length)
  }

  hex(length: number): string {
    return this.read(length).toString('hex').toUpperCase()
  }

  /** Source: xrpl.org "Serialization Format", Field IDs. */
  field(): Field {
    const first = this.number(1)
    const type = first >> 4 || this.#longCode()
    const name = first & 15 || this.#longCode()
    const field = fieldsByOrdinal[(type << 16) | name]
    if (!field?.isSerialized) throw new Error('Unknown field')
    return field
  }

  #longCode(): number {
    const code = this.number(1)
    if (code < 16) throw new Error('Unknown field')
    return code
  }

  #length(): number {
    const first = this.number(1)
    if (first <= 192) return first
    if (first <= 240) return 193 + (first - 193) * 256 + this.number(1)
    if (first === 255) throw new Error('Invalid length of a field')
    return 12481 + (first - 241) * 65536 + this.number(2)
  }

  #amount(): string {
    const value = this.read(8).readBigUInt64BE()
    if (value & 0xa000000000000000n) throw new UnusedType('An amount of something else than XRP')
    const drops = value & 0x3fffffffffffffffn
    if (value >> 62n) return String(drops)
    if (drops === 0n) throw new Error('Negative zero is not canonical')
    return `-${drops}`
  }

  value({ type, name }: Field, depth = 0): unknown {
    const number = numberBytes[type.name]
    if (number) {
      const value = this.number(number)
      const known = named[name]?.from(value)
      if (named[name] && !known) throw new Error(`Invalid ${name} ${value}`)
      return known?.name ?? value
    }
    const hash = hashBytes[type.name]
    if (hash) return this.hex(hash)
    switch (type.name) {
      case 'UInt64':
        return this.read(8).readBigUInt64BE().toString(16)
      case 'Amount':
        return this.#amount()
      case 'Blob':
        return this.hex(this.#length())
      case 'AccountID': {
        const length = this.#length()
        if (length !== 20 && length !== 0) throw new Error('Invalid account')
        return length === 0 ? '' : addressOf(this.hex(length))
      }
      case 'Vector256':
        return Array.from({ length: this.#length() / 32 }, () => this.hex(32))
      case 'STObject':
        return this.#object(depth + 1)
      case 'STArray':
        return this.#array(depth + 1)
      default:
        throw new UnusedType(type.name)
    }
  }

  #object(depth: number): object {
    if (depth > maxNesting) throw new Error('Objects are nested too deep')
    const object: Fields = {}
    for (let field = this.field(); field.name !== objectEnd; field = this.field()) {
      if (field.name in object) throw new Error('Duplicate field detected')
      object[field.name] = this.value(field, depth)
    }
    return object
  }

  #array(depth: number): object[] {
    const array: object[] = []
    for (let field = this.field(); field.name !== arrayEnd; field = this.field()) {
      if (field.type.name !== 'STObject' || field.name === objectEnd) throw new Error('Non-object in array')
      array.push({ [field.name]: this.#object(depth + 1) })
    }
    return array
  }
}

export interface Deserialized {
  /** In rippled's JSON, in canonical order. */
  fields: Fields
  /** The bytes in canonical order, and those of them that are signed. */
  blob: Buffer
  signedBytes: Buffer
}

function read(bytes: Buffer): Deserialized {
  const reader = new Reader(bytes)
  const parts: { field: Field; value: unknown; bytes: Buffer }[] = []
  while (reader.at < bytes.length) {
    const start = reader.at
    const field = reader.field()
    if (field.name === objectEnd || field.name === arrayEnd) throw new Error('Stray end of an object')
    parts.push({ field, value: reader.value(field), bytes: bytes.subarray(start, reader.at) })
  }
  parts.sort((a, b) => a.field.ordinal - b.field.ordinal)
  const fields: Fields = {}
  for (const { field, value } of parts) {
    if (field.name in fields) throw new Error('Duplicate field detected')
    fields[field.name] = value
  }
  const signed = parts.filter(({ field }) => field.isSigningField)
  return {
    fields,
    blob: Buffer.concat(parts.map(({ bytes }) => bytes)),
    signedBytes: Buffer.concat(signed.map(({ bytes }) => bytes))
  }
}

/**
 * Reads what `serialize` writes, whatever the order of its fields. Types that nothing here uses are left to
 * ripple-binary-codec.
 *
 * @throws an Error if the bytes are not such an object
 */
export function deserialize(bytes: Buffer): Deserialized {
  try {
    return read(bytes)
  } catch (err) {
    if (!(err instanceof UnusedType)) throw err
    const fields = decode(bytes.toString('hex'))
    const prefixDigits = 8
    return {
      fields,
      blob: Buffer.from(encode(fields), 'hex'),
      signedBytes: Buffer.from(encodeForSigning(fields).slice(prefixDigits), 'hex')
    }
  }
}

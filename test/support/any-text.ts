import fc from 'fast-check'

const codePoint = fc.nat({ max: 0x10ffff }).map(code => String.fromCodePoint(code))

/** Any text. That of the library, of the unit "binary", takes a second and a half until it can be drawn from. */
export const anyText = (maxLength: number) => fc.string({ unit: codePoint, maxLength })

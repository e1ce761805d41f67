import { Transform } from 'node:stream'
import type { Payments } from './payments.ts'

/** Passes letters on to the terminal and counts them; anything else that a shop sends becomes a question mark. */
export function lettersOnly(payments: Payments): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const letters = chunk.toString('latin1').replace(/[^A-Z]/g, '?')
      done(null, payments.onLetters(letters) ? letters : undefined)
    }
  })
}

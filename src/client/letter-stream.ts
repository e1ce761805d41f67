import { Transform } from 'node:stream'
import type { Payments } from './payments.ts'

/**
 * Passes letters on to the terminal and counts them; anything else that a shop sends becomes a question mark. A shop
 * sends each letter by itself: those that arrive together are shown together.
 */
export function lettersOnly(payments: Payments): Transform {
  let letters = ''
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const more = chunk.toString('latin1').replace(/[^A-Z]/g, '?')
      if (payments.onLetters(more)) {
        if (letters === '')
          process.nextTick(() => {
            this.push(letters)
            letters = ''
          })
        letters += more
      }
      done()
    },
    flush: done => process.nextTick(done)
  })
}

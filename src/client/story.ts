/** A step of a payment's story. Payments count from 0; a letter does not say which payment it is for. */
export type Step =
  | { step: 'sent'; payment: number; amount: string }
  | { step: 'locked' | 'fulfilled' | 'returned' | 'gone' | 'failed'; payment: number }
  | { step: 'letter'; letter: string }

/** Tells whoever started this script as it goes on, if it asked for that: `npm start` does. */
export function tellStory(step: Step): void {
  if (process.env.TELL_STORY) process.send?.(step)
}

/** A step of a payment's story. Payments count from 0; a letter does not say which payment it is for. */
export type Step =
  | { step: 'sent'; payment: number; amount: string }
  | { step: 'locked' | 'fulfilled' | 'returned' | 'gone' | 'failed'; payment: number }
  | { step: 'letter'; letter: string }

// Each look at the environment asks the system.
const isTold = Boolean(process.env.TELL_STORY)

/** Tells whoever started this script as it goes on, if it asked for that: `npm start` does. */
export function tellStory(step: Step): void {
  if (isTold) process.send?.(step)
}

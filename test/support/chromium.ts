import { existsSync } from 'node:fs'
import type { Browser } from 'playwright-core'

// The shell has no window to draw, and so takes a third less of the processor.
const installed = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium']
const executablePath = process.env.CHROMIUM_PATH ?? installed.find(existsSync) ?? '/usr/bin/chromium'

/** Why tests in a browser are skipped; undefined if they are not. */
export const noChromium = existsSync(executablePath)
  ? undefined
  : `no Chromium at "${executablePath}": run "apt-get install chromium-headless-shell", or set CHROMIUM_PATH`

/** Starts the browser, as root too. */
export async function openChromium(): Promise<Browser> {
  const { chromium } = await import('playwright-core')
  const args = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking'
  return chromium.launch({ executablePath, args: args.split(' ') })
}

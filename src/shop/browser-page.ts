import type { IncomingMessage } from 'node:http'

const defaultUrl = 'http://localhost:8000'

/** Whether someone is looking at the shop with a browser. */
export function isBrowser(req: IncomingMessage): boolean {
  return /\btext\/html\b/.test(req.headers.accept ?? '')
}

/**
 * What a browser is shown of a shop: which client to start, and a last paragraph for the rest of the answer.
 *
 * @param client - the script that buys here
 * @param price - with its unit
 * @param address - ILP address that is paid for letters that appear on the page, if it streams them
 */
export function browserPage(client: string, shopUrl: string, price: string, address?: string): string {
  const pre = (command: string) => `<pre style="overflow-x: auto">${command}</pre>`
  const run = `npm run ${client}`
  const elsewhere = `${pre(`SHOP_URL=${shopUrl}/ ${run}`)}
<p>or in PowerShell
${pre(`$env:SHOP_URL='${shopUrl}/'; ${run}`)}`
  const title = address ? 'This shop streams letters' : 'This shop sells letters'
  const offer = address
    ? `One letter for each payment of ${price}, in the body of an answer that stays open.`
    : `One letter for each payment of ${price}. The answer to your request is <code>402 Payment Required</code>.`
  const rest = address
    ? `<p>This page is such an answer too. What is paid to <code style="overflow-wrap: anywhere">${address}</code>, with
the secret in its <code>Pay</code> header, appears here: `
    : '<p>Its text, and its <code>Pay</code> header, say the same to a client:\n<p style="overflow-wrap: anywhere">'
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Letter shop</title>
</head>
<body style="font: 1.1em/1.5 system-ui, sans-serif; max-width: 38em; margin: 2em auto; padding: 0 1em">
<h1>${title}</h1>
<p>${offer} A browser cannot pay, so this takes a client: start it in a terminal, and watch the letters arrive there.
${shopUrl === defaultUrl ? pre(run) : elsewhere}
${rest}`
}

import type { IncomingMessage } from 'node:http'

/** Whether someone is looking at the shop with a browser. */
export function isBrowser(req: IncomingMessage): boolean {
  return /\btext\/html\b/.test(req.headers.accept ?? '')
}

/**
 * What a browser is shown of a shop that streams its letters: a page without an end, where the letters appear.
 *
 * @param price - with its unit
 * @param address - ILP address that is paid for them
 */
export function browserPage(shopUrl: string, price: string, address: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Letter shop</title>
</head>
<body style="font: 1.1em/1.5 system-ui, sans-serif; max-width: 38em; margin: 2em auto; padding: 0 1em">
<h1>This shop streams letters</h1>
<p>One letter for each payment of ${price}, in the body of an answer that stays open. A browser cannot pay, so this takes a
client: start one in a terminal, and watch the letters arrive there.
<pre style="overflow-x: auto">SHOP_URL=${shopUrl}/ npm run streaming-client2</pre>
<p>This page is such an answer too. What is paid to <code style="overflow-wrap: anywhere">${address}</code>, with the secret
in its <code>Pay</code> header, appears here: `
}

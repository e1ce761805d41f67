import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { accounts } from '../accounts.ts'

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8')
const style = read('./page.css')
// The modules of the script in one: each is in the next one's scope.
const script = ['./ledger-view.js', './render.js', './page.js']
  .map(name => read(name).replaceAll(/^import [^']+'[^']+'\n|^export /gm, ''))
  .join('\n')
const names = Object.fromEntries(Object.entries(accounts).map(([name, { address }]) => [address, name]))

/** A source of a Content-Security-Policy that allows just this text. */
const hashSource = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** The page on which one can watch the ledger: it may talk to WebSockets, and to nothing else. */
export const watchPage = {
  html: read('./page.html')
    .replace('/* names */', () => JSON.stringify(names).replaceAll('"', '&quot;'))
    .replace('/* page.css */', () => style)
    .replace('/* page.js */', () => script),
  headers: {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': [
      "default-src 'none'",
      `script-src ${hashSource(script)}`,
      `style-src ${hashSource(style)}`,
      'img-src data:',
      'connect-src ws: wss:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'"
    ].join('; '),
    'cache-control': 'no-cache',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff'
  }
}

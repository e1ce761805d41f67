import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const html = readFileSync(new URL('./page.html', import.meta.url), 'utf8')

/** The sources of a Content-Security-Policy that allow what stands in the page's own `<tag>` elements. */
function inline(tag: string): string {
  const contents = [...html.matchAll(new RegExp(`<${tag}\\b[^>]*>(.*?)</${tag}>`, 'gs'))]
  const hash = (text = '') => createHash('sha256').update(text).digest('base64')
  return contents.map(([, text]) => `'sha256-${hash(text)}'`).join(' ')
}

/** The page on which one can watch the ledger: it may talk to WebSockets, and to nothing else. */
export const watchPage = {
  html,
  headers: {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': [
      "default-src 'none'",
      `script-src ${inline('script')}`,
      `style-src ${inline('style')}`,
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

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'
import { examplePlugins, root } from './scripts.ts'

const scripts = [
  'shop-from-before',
  'streaming-client1',
  'streaming-shop',
  'streaming-client2',
  'start',
  'testnet-accounts',
  'xrpl-sandbox/main',
  'xrpl-sandbox/index',
  'terminal/shutdown'
]

// The number that a constant at the top of a source is.
const constant = /^((?:export )?const (\w+) = )(\d[\d_]*(?: \* \w+)*)(?=$| \/\/)/gm

let folder = ''
const constants = new Set<string>()

/**
 * Builds the scripts, once for all tests: a process starts from a bundle in a fifth of the time that tsx takes to
 * translate the sources. The bundles find what lies beside the sources, and their plugins.ts as plugins.mjs, in the
 * folder that the variable PROJECT_COPY names; a variable with the name of a constant takes its place.
 */
export async function setup(): Promise<void> {
  // Each Node.js would take 30 ms to read them, and no test needs them.
  delete process.env.NODE_EXTRA_CA_CERTS
  folder = await mkdtemp(join(tmpdir(), 'streaming-payments-bundles-'))
  process.env.TEST_BUNDLES = folder
  await build({
    entryPoints: [
      ...scripts.map(out => ({ in: join(root, 'src', `${out}.ts`), out })),
      { in: join(root, 'src/ilp-plugin-xrp-escrow/index.ts'), out: 'ilp-plugin-xrp-escrow' },
      { in: join(root, 'plugins.example.ts'), out: 'plugins.example' }
    ],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
    tsconfigRaw: {},
    // Node.js does not warn of what packages use that is deprecated, and cannot know them in a bundle.
    banner: {
      js: `import { createRequire as requireFor } from 'node:module'
const require = requireFor(import.meta.url)
process.noDeprecation = true`
    },
    plugins: [sources]
  })
  process.env.TEST_CONSTANTS = [...constants].join(' ')
  // Where a script is started by its name. Node.js 20 runs a file whose name ends in .ts as long as it is no module.
  for (const script of scripts) {
    const bundle = pathToFileURL(join(folder, `${script}.mjs`))
    await writeFile(join(folder, `${script}.ts`), starter(bundle))
  }
}

function starter(bundle: URL): string {
  return `process.env.PROJECT_COPY ??= new URL('..', require('node:url').pathToFileURL(process.argv[1])).href
import('${bundle}')
`
}

export async function teardown(): Promise<void> {
  await rm(folder, { recursive: true, force: true })
}

/** Makes of a source what a bundle needs. */
const sources: Plugin = {
  name: 'sources',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]plugins\.ts$/ }, () => ({
      contents: `export const { xrp } = await import(new URL('plugins.mjs', process.env.PROJECT_COPY).href)`
    }))
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const place = relative(root, path).split(sep).join('/')
      const url = place.includes('xrpl-sandbox/')
        ? `'${pathToFileURL(path)}'`
        : `new URL('${place}', process.env.PROJECT_COPY).href`
      const text = place === 'plugins.example.ts' ? examplePlugins : await readFile(path, 'utf8')
      for (const [, , name = ''] of text.matchAll(constant)) constants.add(name)
      const contents = text
        .replaceAll('import.meta.url', url)
        .replace(constant, '$1Number(process.env.$2 ?? ($3))')
      return { contents, loader: 'ts' }
    })
  }
}

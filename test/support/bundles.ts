import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync } from 'node:fs'
import { readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type Plugin } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Where a test run keeps what it has built: told to the workers by their environment. */
const folderVariable = 'TEST_BUNDLES'

/**
 * One file with a script of a project and all that it imports. A process starts from it in a fifth of the time in which
 * tsx translates its sources, file by file, anew. Built once for all who want the same in a test run.
 *
 * @param sources - tells the folder with the sources, if it has to be built; it finds what lies beside them where the
 *   variable PROJECT_COPY says
 * @param script - path in it
 * @param changes - all in which the project differs from another with the same sources
 * @returns the file
 */
export async function bundleOf(sources: () => string, script: string, changes: string[]): Promise<string> {
  const key = createHash('sha256').update(JSON.stringify([script, ...changes]))
  process.env[folderVariable] ??= mkdtempSync(join(tmpdir(), 'streaming-payments-bundles-'))
  const file = join(process.env[folderVariable], `${key.digest('hex')}.mjs`)
  if (existsSync(file)) return file
  const project = sources()
  const unfinished = `${file}.${randomUUID()}`
  await build({
    entryPoints: [join(project, script)],
    outfile: unfinished,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
    tsconfigRaw: {},
    // Node.js warns nobody of what is deprecated in a package, as long as it knows that it is one.
    banner: {
      js: `import { createRequire as requireFor } from 'node:module'
const require = requireFor(import.meta.url)
process.noDeprecation = true`
    },
    plugins: [sourcePlaces(project)]
  })
  await rename(unfinished, file)
  return file
}

/** Removes what `bundleOf` has built. */
export async function removeBundles(): Promise<void> {
  const folder = process.env[folderVariable]
  if (folder) await rm(folder, { recursive: true, force: true })
}

/** Has `import.meta.url` tell where the source would stand in the project of the moment, a linked package's as well. */
function sourcePlaces(project: string): Plugin {
  return {
    name: 'source places',
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        const text = await readFile(path, 'utf8')
        const folder = path.startsWith(join(project, sep)) ? project : root
        const place = JSON.stringify(relative(folder, path).split(sep).join('/'))
        const contents = text.replaceAll(
          'import.meta.url',
          `new URL(${place}, process.env.PROJECT_COPY).href`
        )
        return { contents, loader: 'ts' }
      })
    }
  }
}

// What npm runs around `npm pack`: the package is TypeScript where it is worked on, and JavaScript where it is used.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type BuildOptions, build } from 'esbuild'

const here = import.meta.dirname
const at = (name: string) => join(here, name)
// npm never packs a file of this ending.
const [manifest, original] = [at('package.json'), at('package.json.orig')]

// What users see of it: the rest stands in the bundles.
const isPublic = /^index\.c?js$|^(index|plugin|errors|types)\.d\.ts$/

/** Takes back what an earlier run has left. */
function restore(): void {
  if (existsSync(original)) renameSync(original, manifest)
  for (const name of ['dist', 'LICENSE']) rmSync(at(name), { recursive: true, force: true })
}

async function make(): Promise<void> {
  restore()
  const common: BuildOptions = {
    entryPoints: [at('index.ts')],
    bundle: true,
    packages: 'external',
    platform: 'node',
    target: 'node20'
  }
  await build({ ...common, format: 'esm', outfile: at('dist/index.js') })
  await build({
    ...common,
    format: 'cjs',
    outfile: at('dist/index.cjs'),
    // The plugin of 2017 was what `require` gave; so is this one, with the rest beside it.
    footer: { js: 'module.exports = Object.assign(module.exports.default, module.exports)' }
  })
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
  const options =
    '--declaration --emitDeclarationOnly --rewriteRelativeImportExtensions --skipLibCheck'.split(' ')
  const language = '--target es2023 --module nodenext --strict --types node --outDir dist'.split(' ')
  execFileSync(process.execPath, [tsc, '--ignoreConfig', ...options, ...language, 'index.ts'], {
    cwd: here,
    stdio: 'inherit'
  })
  for (const name of readdirSync(at('dist')).filter(name => !isPublic.test(name))) rmSync(at(`dist/${name}`))
  cpSync(at('../../LICENSE'), at('LICENSE'))
  const {
    scripts: _scripts,
    devDependencies: _tools,
    ...published
  } = JSON.parse(readFileSync(manifest, 'utf8'))
  published.types = './dist/index.d.ts'
  published.exports = {
    types: './dist/index.d.ts',
    import: './dist/index.js',
    require: './dist/index.cjs'
  }
  renameSync(manifest, original)
  writeFileSync(manifest, `${JSON.stringify(published, null, 2)}\n`)
}

if (process.argv[2] === 'restore') restore()
else await make()

import type { SandboxLedger, SandboxOptions } from './server.ts'

export { accounts } from './accounts.ts'
export { sandboxLedger } from './launcher.ts'
export type { SandboxLedger, SandboxOptions }

/** See server.ts, which is loaded when it is needed: most callers need only to know where a sandbox is. */
export async function startSandboxLedger(options?: SandboxOptions): Promise<SandboxLedger> {
  const server = await import('./server.ts')
  return server.startSandboxLedger(options)
}

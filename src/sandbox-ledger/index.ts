export { accounts } from './accounts.ts'
export { sandboxLedger } from './background.ts'
export { type SandboxLedger, type SandboxOptions, startSandboxLedger } from './server.ts'

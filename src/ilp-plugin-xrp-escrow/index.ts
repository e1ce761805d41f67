export * from './errors.ts'
export { PluginXrpEscrow, PluginXrpEscrow as default } from './plugin.ts'
export type * from './types.ts'

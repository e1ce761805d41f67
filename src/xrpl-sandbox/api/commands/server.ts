import { randomBytes } from 'node:crypto'
import { amendments } from '../../ledger/amendments.ts'
import { definitions } from '../../ledger/definitions.ts'
import { type Ledger, referenceLevel, rippleEpoch } from '../../ledger/ledger.ts'
import { invalidField, rpcError } from '../errors.ts'
import { dropsPerXrp, humanTime, loadLevels } from '../formatters.ts'
import { parseHash } from '../params.ts'
import type { Command, Request } from '../rpc.ts'
import { hostId, nodeKey } from '../streams.ts'

/** The version that this server answers like. */
const buildVersion = '3.2.0'

/** What `server_info` and `server_state` have in common. */
function common({ ledger, startedAt, port }: Request) {
  const uptimeUs = String((Date.now() - startedAt) * 1000)
  const idle = { duration_us: '0', transitions: '0' }
  return {
    build_version: buildVersion,
    complete_ledgers: ledger.history.range,
    initial_sync_duration_us: '0',
    io_latency_ms: 1,
    jq_trans_overflow: '0',
    load: { job_types: [{ in_progress: 1, job_type: 'clientWebsocket' }], threads: 1 },
    ...(ledger.networkId > 0 && { network_id: ledger.networkId }),
    node_size: 'tiny',
    peer_disconnects: '0',
    peer_disconnects_resources: '0',
    peers: 0,
    ports: [{ port: String(port), protocol: ['ws'] }],
    pubkey_node: nodeKey,
    pubkey_validator: 'none',
    server_state: 'full',
    server_state_duration_us: uptimeUs,
    state_accounting: {
      connected: idle,
      disconnected: idle,
      full: { duration_us: uptimeUs, transitions: '1' },
      syncing: idle,
      tracking: idle
    },
    time: humanTime(ledger.now(), `${String(ledger.now() % 1000).padStart(3, '0')}000`),
    uptime: Math.floor((Date.now() - startedAt) / 1000),
    validation_quorum: 0
  }
}

/** How many times the base fee the open ledger costs at this moment, and why, if it costs more. */
function loadFactors({ openLedgerLevel }: Ledger) {
  const load_factor = openLedgerLevel / referenceLevel
  return load_factor === 1
    ? { load_factor }
    : { load_factor, load_factor_fee_escalation: load_factor, load_factor_server: 1 }
}

const serverInfo: Command = request => {
  const { fees, closedHeader } = request.ledger
  const age = Math.floor(request.ledger.now() / 1000) - rippleEpoch - closedHeader.closeTime
  return {
    info: {
      ...common(request),
      hostid: hostId,
      last_close: { converge_time_s: 0.1, proposers: 0 },
      ...loadFactors(request.ledger),
      validated_ledger: {
        age: Math.max(0, age),
        base_fee_xrp: fees.base / dropsPerXrp,
        hash: closedHeader.hash,
        reserve_base_xrp: fees.reserveBase / dropsPerXrp,
        reserve_inc_xrp: fees.reserveIncrement / dropsPerXrp,
        seq: closedHeader.ledgerIndex
      },
      validator_list: { count: 0, expiration: 'unknown', status: 'unknown' }
    }
  }
}

const serverState: Command = request => {
  const { fees, closedHeader } = request.ledger
  return {
    state: {
      ...common(request),
      last_close: { converge_time: 100, proposers: 0 },
      ...loadLevels(request.ledger),
      validated_ledger: {
        base_fee: fees.base,
        close_time: closedHeader.closeTime,
        hash: closedHeader.hash,
        reserve_base: fees.reserveBase,
        reserve_inc: fees.reserveIncrement,
        seq: closedHeader.ledgerIndex
      },
      validator_list_expires: 0
    }
  }
}

/** How many transactions a ledger is said to expect, and to take at most. */
const expectedLedgerSize = 1000

const fee: Command = ({ ledger }) => {
  const { openLedgerLevel, fees } = ledger
  const base = String(fees.base)
  const level = String(referenceLevel)
  return {
    current_ledger_size: String(ledger.openTransactions.size),
    current_queue_size: String(ledger.queued.length),
    drops: {
      base_fee: base,
      median_fee: String(fees.base * 500),
      minimum_fee: base,
      open_ledger_fee: String(ledger.openLedgerFee)
    },
    expected_ledger_size: String(expectedLedgerSize),
    ledger_current_index: ledger.openIndex,
    levels: {
      median_level: String(referenceLevel * 500),
      minimum_level: level,
      open_ledger_level: String(openLedgerLevel),
      reference_level: level
    },
    max_queue_size: String(20 * expectedLedgerSize)
  }
}

/** The amendments that are enabled, or one of them. Source: rippled 3.2.0, rpc/handlers/server_info/Feature.cpp. */
const feature: Command = ({ params }) => {
  const features = [...amendments].map(([id, name]) => [id, { enabled: true, name, supported: true }])
  const { feature: wanted } = params
  if (wanted === undefined) return { features: Object.fromEntries(features) }
  if (typeof wanted !== 'string') throw rpcError('invalidParams')
  const [id, name] = [...amendments].find(pair => pair.includes(wanted)) ?? []
  if (!id) throw rpcError('badFeature')
  return { [id]: { enabled: true, name, supported: true } }
}

const serverDefinitions: Command = ({ params }) => {
  const known = parseHash(String(params.hash))
  if (params.hash !== undefined && !known) throw invalidField('hash')
  const { hash } = definitions
  return known === hash ? { hash } : { ...definitions }
}

export const serverCommands: Record<string, Command> = {
  fee,
  feature,
  ping: () => ({ role: 'admin', unlimited: true }),
  random: () => ({ random: randomBytes(32).toString('hex').toUpperCase() }),
  server_definitions: serverDefinitions,
  server_info: serverInfo,
  server_state: serverState,
  stop: request => {
    request.stop()
    return { message: 'ripple server stopping' }
  }
}

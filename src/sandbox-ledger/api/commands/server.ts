import { encodeNodePublic } from 'ripple-address-codec'
import { RIPPLE_EPOCH } from '../../ledger/ledger.ts'
import type { Command, Request } from '../rpc.ts'
import { humanTime } from '../shapes.ts'

// The version whose API this server speaks: 1 as rippled 1.9.3 does, and 2 as the first with that version.
const BUILD_VERSION = '2.0.0'
const NODE_KEY = encodeNodePublic(Buffer.concat([Buffer.from([2]), Buffer.alloc(32, 'sandbox')]))
const DROPS_PER_XRP = 1_000_000
const REFERENCE_LEVEL = 256

/** What `server_info` and `server_state` have in common. */
function common({ ledger, startedAt }: Request) {
  const uptimeUs = String((Date.now() - startedAt) * 1000)
  const idle = { duration_us: '0', transitions: '0' }
  return {
    build_version: BUILD_VERSION,
    complete_ledgers: ledger.history.range,
    initial_sync_duration_us: '0',
    io_latency_ms: 1,
    jq_trans_overflow: '0',
    ...(ledger.networkId > 0 && { network_id: ledger.networkId }),
    node_size: 'tiny',
    peer_disconnects: '0',
    peer_disconnects_resources: '0',
    peers: 0,
    pubkey_node: NODE_KEY,
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

export const serverInfo: Command = request => {
  const { fees, closedHeader } = request.ledger
  const age = Math.floor(request.ledger.now() / 1000) - RIPPLE_EPOCH - closedHeader.closeTime
  return {
    info: {
      ...common(request),
      hostid: 'sandbox',
      last_close: { converge_time_s: 0.1, proposers: 0 },
      load: { job_types: [], threads: 1 },
      load_factor: loadFactor(request),
      validated_ledger: {
        age: Math.max(0, age),
        base_fee_xrp: fees.base / DROPS_PER_XRP,
        hash: closedHeader.hash,
        reserve_base_xrp: fees.reserveBase / DROPS_PER_XRP,
        reserve_inc_xrp: fees.reserveIncrement / DROPS_PER_XRP,
        seq: closedHeader.ledgerIndex
      },
      validator_list: { count: 0, expiration: 'unknown', status: 'unknown' }
    }
  }
}

export const serverState: Command = request => {
  const { fees, closedHeader } = request.ledger
  return {
    state: {
      ...common(request),
      last_close: { converge_time: 100, proposers: 0 },
      load: { job_types: [], threads: 1 },
      load_base: 256,
      load_factor: REFERENCE_LEVEL * loadFactor(request),
      load_factor_fee_escalation: REFERENCE_LEVEL * loadFactor(request),
      load_factor_fee_queue: 256,
      load_factor_fee_reference: 256,
      load_factor_server: 256,
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

/** How many times the base fee the open ledger costs at this moment. */
const loadFactor = ({ ledger }: Request) => Number(ledger.openLedgerCost({})) / ledger.fees.base

export const fee: Command = request => {
  const { ledger } = request
  const base = String(ledger.fees.base)
  const limit = Number.isFinite(ledger.openLedgerLimit) ? ledger.openLedgerLimit : 1000
  const level = String(REFERENCE_LEVEL)
  return {
    current_ledger_size: String(ledger.openTransactions.size),
    current_queue_size: String(ledger.queueSize),
    drops: {
      base_fee: base,
      median_fee: String(ledger.fees.base * 500),
      minimum_fee: base,
      open_ledger_fee: String(ledger.openLedgerCost({}))
    },
    expected_ledger_size: String(limit),
    ledger_current_index: ledger.openIndex,
    levels: {
      median_level: String(REFERENCE_LEVEL * 500),
      minimum_level: level,
      open_ledger_level: String(Math.ceil(REFERENCE_LEVEL * loadFactor(request))),
      reference_level: level
    },
    max_queue_size: String(20 * limit)
  }
}

export const ping: Command = () => ({ role: 'admin', unlimited: true })

export const version: Command = () => ({ version: { first: 1, good: 1, last: 2 } })

export const stop: Command = request => {
  request.stop()
  return { message: 'ripple server stopping' }
}

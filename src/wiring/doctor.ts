/** What is wrong with this node, each finding with its cure: engine, chain, clock, content, peers, balance, disk, money. */
import { Chain } from '../chain/chain.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import { asMecaError } from '../core/errors.ts'
import { loneEndpoint } from '../core/lone-endpoint.ts'
import { MAX_SKEW_MS } from '../core/offer.ts'
import { formatDecimal } from '../core/units.ts'
import type { DoctorReport } from '../role/api.ts'
import { balanceOf } from './base.ts'
import type { Base } from './base.ts'
import type { HostSide } from './host-side.ts'
import { moneyFindings } from './money-findings.ts'

type Finding = DoctorReport['findings'][number]

export type Found = Omit<Finding, 'what' | 'ok'>
export type Check = [what: string, check: (signal: AbortSignal) => Promise<Found>]

/** Endpoints lag each other by a few blocks; on fast chains by a minute's. */
const MAX_APART = 64

/** Each check on its own; one that hangs is a finding too. */
const CHECK_TIMEOUT_MS = 5_000

export async function doctor(
  base: Base,
  engine: () => Promise<Engine>,
  host: HostSide | undefined,
  signal: AbortSignal,
): Promise<DoctorReport> {
  const checks: Check[] = [
    ['engine', async (s) => checkEngine(await engine(), s)],
    ['chain', (s) => checkChain(base, s)],
    ...witnessCheck(base, host !== undefined),
    ['clock', (s) => checkClock(base, s)],
    ['content', (s) => checkContent(base, s)],
    ['peers', async () => checkPeers(base)],
    ['balance', (s) => checkBalance(base, s)],
    ['disk', async () => checkDisk(base)],
    ['records', async () => ({ level: 'ok', detail: `${base.store.sequence} entries, every one checked at start` })],
  ]
  const money = moneyFindings(base, host, AbortSignal.any([signal, AbortSignal.timeout(CHECK_TIMEOUT_MS)]))
  const { findings } = await examine(checks, signal)
  const all = [...findings, ...(await money.catch((error: unknown) => [failed('money', error)]))]
  return { ok: all.every(({ ok }) => ok), findings: all }
}

/** All of them at once; one that throws is a finding with its cure. */
export async function examine(checks: readonly Check[], signal: AbortSignal): Promise<DoctorReport> {
  const findings = await Promise.all(
    checks.map(async ([what, check]): Promise<Finding> => {
      try {
        const found = await check(AbortSignal.any([signal, AbortSignal.timeout(CHECK_TIMEOUT_MS)]))
        return { what, ok: found.level !== 'error', ...found }
      } catch (error) {
        return failed(what, error)
      }
    }),
  )
  return { ok: findings.every(({ ok }) => ok), findings }
}

function failed(what: string, error: unknown): Finding {
  const { message, cure } = asMecaError(error)
  return { what, ok: false, level: 'error', detail: message, ...(cure === undefined ? {} : { cure }) }
}

export async function checkEngine(engine: Engine, signal: AbortSignal): Promise<Found> {
  const { version, runtimes, cpuMillis } = await engine.probe(signal)
  return { level: 'ok', detail: `${engine.name} ${version}, ${cpuMillis / 1000} CPUs, runtimes ${runtimes.join(', ')}` }
}

async function checkChain({ chain }: Base, signal: AbortSignal): Promise<Found> {
  await chain.verify(signal)
  const { number } = await chain.block(signal)
  return { level: 'ok', detail: `chain ${chain.deployment.chainId} at block ${number}, contracts in place` }
}

/** The second endpoint, where there is one: a host counts on no deposit that it does not show. Else what that can cost. */
function witnessCheck({ chain, config }: Base, isHost: boolean): Check[] {
  const { witness: url, pollMs, requestTimeoutMs } = config.chain
  const lone = isHost ? loneCheck(config) : []
  if (url === undefined || lone.length > 0) return lone
  return [
    ['chain witness', (s) => compareWith(chain, new Chain(url, chain.deployment, { pollMs, requestTimeoutMs }), s)],
  ]
}

/** What a host can lose that hears of its chain from one stranger alone: a warning, since the owner may know better. */
export function loneCheck({ chain, host }: Config): Check[] {
  const lone = loneEndpoint(chain, host.exposureTotal)
  return lone === undefined ? [] : [['chain witness', async () => ({ level: 'warning', ...lone })]]
}

async function compareWith(chain: Chain, witness: Chain, signal: AbortSignal): Promise<Found> {
  await witness.verify(signal)
  const [own, other] = await Promise.all([chain.block(signal), witness.block(signal)])
  const apart = Math.abs(own.number - other.number)
  const detail = `${witness.rpc.host} is at block ${other.number}, ${chain.rpc.host} at ${own.number}`
  if (apart <= MAX_APART) return { level: 'ok', detail }
  return {
    level: 'warning',
    detail,
    cure: 'one of them is stale: look at both again, and change the one that stays behind',
  }
}

async function checkClock({ chain }: Base, signal: AbortSignal): Promise<Found> {
  const behindMs = Date.now() - (await chain.block(signal)).timestamp * 1000
  if (behindMs < -MAX_SKEW_MS)
    return {
      level: 'error',
      detail: `this clock is ${Math.round(-behindMs / 1000)} s behind the newest block`,
      cure: 'set the clock, for instance with systemd-timesyncd or chrony',
    }
  return { level: 'ok', detail: `the newest block is ${Math.max(0, Math.round(behindMs / 1000))} s old` }
}

async function checkContent({ ipfs }: Base, signal: AbortSignal): Promise<Found> {
  const pins = await ipfs.pins(signal)
  return { level: 'ok', detail: `${ipfs.kind}, ${pins.length} packages kept here` }
}

function checkPeers({ peer, market }: Base): Found {
  const connections = peer.libp2p.getConnections().length
  const offers = market.heard().length
  const detail = `${connections} peers connected, ${offers} hosts heard, reachable at ${peer.addrs().join(' ') || 'no address'}`
  if (connections > 0) return { level: 'ok', detail }
  return {
    level: 'warning',
    detail,
    cure: 'set p2p.bootstrap to a peer of the market, each address with its /p2p/ part',
  }
}

async function checkBalance(base: Base, signal: AbortSignal): Promise<Found> {
  const held = await Promise.all(
    base.tokens.map(async (token) => ({ token, amount: await balanceOf(base, token.address, signal) })),
  )
  const detail = held.map(({ token, amount }) => `${formatDecimal(amount, token.decimals)} ${token.symbol}`).join(', ')
  const gas = await base.chain.balance(base.signer.address, signal)
  if (gas > 0n) return { level: 'ok', detail: `${base.signer.address} has ${detail}` }
  return {
    level: 'warning',
    detail: `${base.signer.address} has ${detail}: no gas for any transaction`,
    cure: `send some of the chain's currency to ${base.signer.address}`,
  }
}

async function checkDisk({ home, config: { limits }, blobs }: Base): Promise<Found> {
  const used = `${gib(blobs.usedBytes)} GiB of ${gib(limits.blobBytes)} used for inputs and outputs`
  return spaceFound(await home.freeBytes(), limits.freeBytes, used)
}

export function spaceFound(freeBytes: number, floorBytes: number, more: string): Found {
  const detail = `${gib(freeBytes)} GiB free, ${more}`
  if (freeBytes > floorBytes) return { level: 'ok', detail }
  return { level: 'error', detail, cure: `free some space: no new work is taken under ${gib(floorBytes)} GiB` }
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1)
}

/**
 * A whole market on this machine: a chain with the contracts, a developer, a client and some hosts, each a process of
 * its own with a home folder of its own. Everything lives in one temporary folder and ends with `close`.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { HDNodeWallet } from 'ethers'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { startAnvil } from '../chain/anvil.ts'
import type { Deployment } from '../chain/chain.ts'
import { deploy } from '../chain/deploy.ts'
import { inheritedEnvironment } from '../config.ts'
import { MecaError } from '../core/errors.ts'
import { makeSigner } from '../core/signature.ts'
import { fromHex } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import type { TokenInfo } from '../role/api-common.ts'
import { makeCloser } from './base.ts'
import type { Closer } from './base.ts'
import { inToken, newToken } from './devnet-token.ts'
import type { PlayToken } from './devnet-token.ts'
import { baseAtHand, FOLDER_PREFIX, removeStale, sweepHome, writeRecord } from './devnet-traces.ts'
import { prepareHome } from './prepare.ts'

export type Member = { home: string; api: string; address: Hex }
export type Devnet = {
  folder: string
  chainId: number
  rpc: string
  contracts: { tasks: Hex; hosts: Hex; channels: Hex }
  /** The market's own currency, where it is not the chain's. */
  token: TokenInfo | undefined
  developer: Member
  client: Member
  hosts: Member[]
  /** The base image of the example, where this machine has it. */
  base: string | undefined
  /** Fires when a member ended by itself: whose process it was, and its last words. */
  lost: Promise<MecaError>
  close(): Promise<void>
}

export type DevnetOptions = {
  hosts: number
  /** The market is in a token of this name; its hosts take the chain's own currency too. */
  token?: PlayToken
  signal: AbortSignal
  onStep?: (step: string, detail?: string) => void
}

/** Every development chain knows it; its accounts own play money, and nothing else. */
const MNEMONIC = 'test test test test test test test test test test test junk'
const DEPLOYER = 0
const DEVELOPER = 1
const CLIENT = 2
const FIRST_HOST = 3
/** The key derivation that protects real money would take a second per member. */
const PLAY_ROUNDS = 1024
/** Bulk data leaves garbage behind; a small nursery keeps it in the cache, for half the CPU and a third of the memory. */
const LEAN = '--max-semi-space-size=4'
/** A node is ready within three seconds on a free machine. */
const READY_MS = 60_000
/** What a lost member logged last. */
const LOG_LINES = 12
/** A host ends its containers first. */
const END_MS = 20_000
const GIB = 1024 ** 3
/** Published tasks of other systems commonly ask for 2 GiB; more than this is wanted by few, and several hosts share. */
const HOST_MEMORY_BYTES = 4 * GIB

export async function startDevnet(options: DevnetOptions): Promise<Devnet> {
  const closer = makeCloser()
  const lost = Promise.withResolvers<MecaError>()
  await removeStale()
  try {
    return await open(options, closer, lost)
  } catch (error) {
    await closer.close()
    throw error
  }
}

async function open(
  { hosts, token: play, signal, onStep = () => undefined }: DevnetOptions,
  closer: Closer,
  lost: PromiseWithResolvers<MecaError>,
): Promise<Devnet> {
  const folder = await mkdtemp(join(tmpdir(), FOLDER_PREFIX))
  closer.add(() => rm(folder, { recursive: true, force: true }))
  await writeRecord(folder, { pid: process.pid })
  onStep('chain')
  const life = new AbortController()
  const anvil = await startAnvil({
    signal: life.signal,
    mnemonic: MNEMONIC,
    args: ['--accounts', String(FIRST_HOST + hosts)],
  })
  closer.add(() => anvil.stop())
  await writeRecord(folder, { pid: process.pid, anvil: anvil.pid })
  onStep('contracts')
  const deployment = await deployMarket(anvil.url, play, signal)
  const deploymentFile = join(folder, 'deployment.json')
  await writeFile(deploymentFile, JSON.stringify(deployment, null, 2))
  const token =
    play === undefined || deployment.token === undefined ? undefined : { ...play, address: deployment.token }
  const base = await readFile(new URL('../../config/devnet.yml', import.meta.url), 'utf8')
  const member = (name: string, role: 'host' | 'node', account: number, bootstrap: readonly string[]) => {
    onStep(role, name)
    const log = join(folder, `${name}.log`)
    const own = {
      chain: { rpc: anvil.url, deployment: deploymentFile },
      p2p: { bootstrap },
      log: { file: log },
      host: { memoryBytes: memoryShare(totalmem(), hosts) },
    }
    return startMember(
      { folder: join(folder, name), name, role, account, config: merge(base, own, token), log, signal },
      closer,
      lost,
    )
  }
  const developer = await member('developer', 'node', DEVELOPER, [])
  const others = await Promise.all([
    member('client', 'node', CLIENT, developer.addresses),
    ...Array.from({ length: hosts }, (_, i) => member(`host${i + 1}`, 'host', FIRST_HOST + i, developer.addresses)),
  ])
  const [client, ...hostMembers] = others.map(({ member: m }) => m)
  if (client === undefined) throw new MecaError('internal', 'a devnet without a client')
  return {
    folder,
    chainId: deployment.chainId,
    rpc: anvil.url,
    contracts: deployment.contracts,
    token,
    developer: developer.member,
    client,
    hosts: hostMembers,
    base: await baseAtHand(developer.member.home),
    lost: lost.promise,
    close: () => closer.close(),
  }
}

/** With a token, everybody who pays or may pay has enough of it. */
async function deployMarket(rpc: string, play: PlayToken | undefined, signal: AbortSignal): Promise<Deployment> {
  const deployer = makeSigner(keyOf(DEPLOYER))
  const options = { signal, pollMs: 50 }
  if (play === undefined) return deploy(rpc, deployer, options)
  const people = [DEVELOPER, CLIENT].map((account) => makeSigner(keyOf(account)).address)
  return deploy(rpc, deployer, { ...options, token: newToken(play, people) })
}

type NewMember = {
  folder: string
  name: string
  role: 'host' | 'node'
  account: number
  config: string
  log: string
  signal: AbortSignal
}

async function startMember(
  m: NewMember,
  closer: Closer,
  lost: PromiseWithResolvers<MecaError>,
): Promise<{ member: Member; addresses: string[] }> {
  await mkdir(m.folder, { recursive: true, mode: 0o700 })
  const { address } = await prepareHome({
    folder: m.folder,
    password: 'play',
    keep: true,
    rounds: PLAY_ROUNDS,
    privateKey: keyOf(m.account),
    config: m.config,
  })
  const main = new URL('../main.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [LEAN, main, m.role, 'start', '--home', m.folder, '--json', '--while-stdin'], {
    // Their input ends with this process, however it ends, and so do they.
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: m.folder,
    env: inheritedEnvironment(),
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  let closing = false
  closer.add(async () => {
    closing = true
    await end(child, ended)
    await sweepHome(m.folder)
  })
  const complaint = listen(child)
  const ready = await untilReady(child, ended, complaint, m)
  void ended.then(async () => {
    if (!closing) lost.resolve(await lossOf(m, child, complaint()))
  })
  return { member: { home: m.folder, api: ready.url, address }, addresses: ready.addresses }
}

const zReady = z.object({ ready: z.literal(true), url: z.string(), addresses: z.array(z.string()) })
/** What a node says instead where it cannot start. */
const zRefusal = z.object({ error: z.object({ message: z.string() }) })

async function untilReady(
  child: ChildProcess,
  ended: Promise<void>,
  complaint: () => string,
  { name, signal }: NewMember,
): Promise<z.infer<typeof zReady>> {
  const line = new Promise<string>((resolve) => {
    if (child.stdout !== null) createInterface({ input: child.stdout }).once('line', resolve)
  })
  const stop = AbortSignal.any([signal, AbortSignal.timeout(READY_MS)])
  const late = new Promise<'late'>((resolve) => {
    stop.addEventListener('abort', () => resolve('late'), { once: true })
    if (stop.aborted) resolve('late')
  })
  const first = await Promise.race([line, ended, late])
  const said = first === undefined || first === 'late' ? undefined : (JSON.parse(first) as unknown)
  const ready = zReady.safeParse(said)
  if (ready.success) return ready.data
  const why = first === 'late' ? 'was not ready in time' : 'ended at its start'
  const refusal = zRefusal.safeParse(said)
  const words = refusal.success ? refusal.data.error.message : complaint().trim().split('\n').slice(-5).join(' ')
  throw new MecaError('internal', `The process of ${name} ${why}: ${words}`)
}

/** The end of what a process says on stderr. */
function listen(child: ChildProcess): () => string {
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(-2000)))
  return () => said
}

/** Read before the folder goes, and with it the log. */
async function lossOf({ name, log }: NewMember, child: ChildProcess, complaint: string): Promise<MecaError> {
  const written = await readFile(log, 'utf8').catch(() => '') // it may have ended before its first line
  const tail = [...written.trimEnd().split('\n').slice(-LOG_LINES), complaint].join('\n').trim()
  const how = child.signalCode === null ? `exit code ${child.exitCode}` : `signal ${child.signalCode}`
  return new MecaError('internal', `The process of ${name} ended by itself (${how})`, {
    cure: 'start the market again; its last words are below',
    details: { logTail: tail },
  })
}

async function end(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS)
  await ended
  clearTimeout(timer)
}

function keyOf(account: number): Uint8Array {
  return fromHex(HDNodeWallet.fromPhrase(MNEMONIC, undefined, `m/44'/60'/0'/0/${account}`).privateKey as Hex)
}

/** The settings of every devnet, and this member's own over them. */
function merge(
  base: string,
  own: { chain: object; p2p: object; log: object; host: object },
  token: TokenInfo | undefined,
): string {
  // Amounts are larger than a double holds, so whole numbers stay bigint on the way through.
  const parsed = parse(base, { intAsBigInt: true }) as Record<string, unknown>
  const host = { ...asObject(parsed['host']), ...own.host }
  return stringify({
    ...parsed,
    host,
    log: own.log,
    chain: { ...asObject(parsed['chain']), ...own.chain },
    p2p: { ...asObject(parsed['p2p']), ...own.p2p },
    ...(token === undefined ? {} : inToken(token, host, asObject(parsed['client']))),
  })
}

/** Each host's part of this machine: what is left beside the other members, and at least what it always offered. */
function memoryShare(totalBytes: number, hosts: number): number {
  const share = Math.floor((totalBytes - 2 * GIB) / Math.max(1, hosts))
  return Math.max(10 ** 9, Math.min(HOST_MEMORY_BYTES, share))
}

function asObject(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {}
}

/**
 * One side of a market for the tests of the stories: a node's base over a real chain, store, network and IPFS, with an
 * engine that is a function of the test. What is attacked here are the stories; containers are attacked in test/e2e.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../../src/config.ts'
import { taskIdOf } from '../../src/core/cid.ts'
import type { ContainerEnd } from '../../src/core/plan.ts'
import { toHex } from '../../src/core/typed.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import type { Engine, Instance, Reply } from '../../src/engine/engine.ts'
import { thisPlatform } from '../../src/image/layout.ts'
import { createLog, Redaction } from '../../src/log.ts'
import { formatManifest } from '../../src/task/package.ts'
import type { FormatName } from '../../src/task/package.ts'
import { makeCloser, openBase } from '../../src/wiring/base.ts'
import type { Base, Closer } from '../../src/wiring/base.ts'
import { prepareHome } from '../../src/wiring/prepare.ts'
import { hdKey } from '../chain/keys.ts'
import { startMarket } from '../chain/market.ts'
import type { Market } from '../chain/market.ts'

export const FEE = 1_000_000n
export const DEPOSIT = 10n ** 17n
const DEVELOPER = 8
const CONFIG = { resource: { cpu: 1, mem: 64, use_gpu: false, gpu_count: 0 } }
export const RESOURCES = { cpuMillis: 1000, memoryBytes: 64 * 2 ** 20, gpus: 0 }

export type Published = { cid: string; taskId: Hex }
/** What a task is described by, where it is not a MECA task. */
export type Descriptor = { format: FormatName; path: string; text: string }

export type Stage = {
  market: Market
  closer: Closer
  /** A name that was opened before is the same home again. */
  open(name: string, account: number, flags?: Record<string, unknown>): Promise<{ base: Base; closer: Closer }>
  /** The package goes to every one of `holders`, so that no test waits for a transfer between them. */
  publish(name: string, holders: readonly Base[], of?: Descriptor): Promise<Published>
  /** Opens a channel on chain that pays `host`, signed by the account's own key. */
  openChannel(account: number, host: Hex, deposit?: bigint, closeDelaySeconds?: number): Promise<ChannelTerms>
  close(): Promise<void>
}

export async function openStage(): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-stage-'))
  const closer = makeCloser()
  closer.add(() => rm(folder, { recursive: true, force: true }))
  const market = await startMarket()
  closer.add(() => market.close())
  const deploymentFile = join(folder, 'deployment.json')
  await writeFile(deploymentFile, JSON.stringify(market.deployment))
  const open: Stage['open'] = async (name, account, flags = {}) => {
    const home = join(folder, name)
    const key = { password: 'play', keep: true, rounds: 1024, privateKey: hdKey(account) }
    if (!existsSync(join(home, 'keys'))) await prepareHome({ folder: home, ...key })
    const { config, secrets } = loadConfig({
      env: {},
      cwd: folder,
      file: new URL('../../config/devnet.yml', import.meta.url).pathname,
      flags: { home, 'chain.rpc': market.url, 'chain.deployment': deploymentFile, ...flags },
    })
    const own = makeCloser()
    const life = new AbortController()
    const log = createLog({ level: process.env['MECA_TEST_LOG'] ?? 'silent', redaction: new Redaction() })
    const base = await openBase(config, secrets.password, log, own, life.signal)
    own.add(() => life.abort())
    const once = new Map<'closed', Promise<void>>()
    const close = () => once.get('closed') ?? once.set('closed', own.close()).get('closed') ?? Promise.resolve()
    closer.add(close)
    return { base, closer: { add: (end) => own.add(end), close } }
  }
  return {
    market,
    closer,
    open,
    publish: (name, holders, of) => publish(market, name, holders, of),
    openChannel: async (account, host, deposit = DEPOSIT, closeDelaySeconds = 900) => {
      const client = market.signer(account).address
      const salt = toHex(randomBytes(32))
      const terms: ChannelTerms = { client, signer: client, host, token: NATIVE, closeDelaySeconds, salt }
      await market.channels.open(market.wallet(account), terms, deposit, market.signal)
      return terms
    },
    close: () => closer.close(),
  }
}

async function publish(
  market: Market,
  name: string,
  holders: readonly Base[],
  { format, path, text }: Descriptor = { format: 'meca', path: 'config.json', text: JSON.stringify(CONFIG) },
): Promise<Published> {
  const developer = market.signer(DEVELOPER).address
  const { os, architecture } = thisPlatform()
  const digest = `sha256:${'ab'.repeat(32)}`
  const manifest = formatManifest({
    schemaVersion: 1,
    name,
    version: '1.0.0',
    title: name,
    description: '',
    format,
    developer,
    fee: FEE,
    token: NATIVE,
    image: { manifest: digest, id: digest, platform: `${os}/${architecture}`, bytes: 1000 },
    resources: RESOURCES,
    determinism: 'none',
    needsNetwork: false,
    descriptor: path,
  })
  const entries = [
    { path: 'task.json', content: Buffer.from(manifest) },
    { path, content: Buffer.from(text) },
  ]
  let cid = ''
  for (const { ipfs } of holders) ({ cid } = await ipfs.addFolder(entries, { signal: market.signal }))
  const taskId = taskIdOf(cid)
  const entry = { taskId, fee: FEE, token: NATIVE, payee: developer, name, version: '1.0.0' }
  await market.tasks.publish(market.wallet(DEVELOPER), entry, market.signal)
  return { cid, taskId }
}

export type Answer = (body: Uint8Array, signal: AbortSignal) => Promise<Reply>

/** Starts nothing: every "container" answers with `answer`, and says how many requests it saw. */
export class FakeEngine {
  requests = 0
  started = 0
  stopped = 0
  answer: Answer = (body) => Promise.resolve({ status: 200, contentType: 'text/plain', body })

  /** The running containers' number. */
  get running(): number {
    return this.started - this.stopped
  }

  get engine(): Engine {
    const nothing = () => Promise.reject(new Error('the tests of the stories build and pull nothing'))
    return {
      name: 'fake',
      probe: () => Promise.resolve({ version: '0', runtimes: ['runc'], cpuMillis: 1000, memoryBytes: 2 ** 30 }),
      pull: nothing,
      has: () => Promise.resolve(true),
      start: () => Promise.resolve(this.#instance()),
      run: nothing,
      sweep: () => Promise.resolve(0),
      build: nothing,
      save: nothing,
      file: nothing,
      resolve: nothing,
      remove: nothing,
      close: () => Promise.resolve(),
    }
  }

  #instance(): Instance {
    this.started++
    const ended = Promise.withResolvers<ContainerEnd>()
    let up = true
    return {
      id: `fake-${this.started}`,
      timings: {},
      ended: ended.promise,
      request: (body, _limits, signal) => {
        this.requests++
        return this.answer(body, signal)
      },
      setLogSink: () => undefined,
      stop: () => {
        if (up) this.stopped++
        up = false
        ended.resolve({ exitCode: 0, outOfMemory: false, killedFor: 'stopped', logTail: '' })
        return Promise.resolve()
      },
    }
  }
}

export { eventually } from '../support/eventually.ts'

/** Builds the host's story over the rooms: what the machine has, what the owner offers, how clients reach it. */
import type { Engine } from '../engine/engine.ts'
import { Chain } from '../chain/chain.ts'
import { factReader } from '../engine/facts.ts'
import { WarmPool } from '../engine/pool.ts'
import { MecaError } from '../core/errors.ts'
import { loneEndpoint } from '../core/lone-endpoint.ts'
import type { Resources } from '../core/resources.ts'
import { releaseDigest } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { startRegistry } from '../image/registry.ts'
import { blobPath, thisPlatform } from '../image/layout.ts'
import { verifyImage } from '../image/verify.ts'
import type { HostPolicy } from '../role/admission.ts'
import { Advertiser } from '../role/advertise.ts'
import { Book } from '../role/book.ts'
import type { FilesComponents } from '../role/execute-files.ts'
import type { Caps } from '../role/currencies.ts'
import { Fleet } from '../role/fleet.ts'
import { GpuShelf } from '../role/gpus.ts'
import { Host } from '../role/host.ts'
import { Images } from '../role/images.ts'
import { Lending } from '../role/lending.ts'
import type { Restorer } from '../role/restore.ts'
import { Settler } from '../role/settle.ts'
import type { VoucherExport } from '../store/export.ts'
import { FORMAT_NAMES } from '../task/format.ts'
import type { Base, Closer } from './base.ts'
import { exporter, makeRestorer, openCopies } from './copies-side.ts'
import { Deposits, lookout } from './deposits.ts'
import { openDoors } from './host-doors.ts'
import { register } from './register.ts'

export type HostSide = {
  host: Host
  book: Book
  fleet: Fleet
  settler: Settler
  lending: Lending
  restorer: Restorer
  images: Images
  advertiser: Advertiser
  policy: HostPolicy
  engine: Engine
  engineVersion: string
}

/** A task's image: 20 GiB is more than any published one that a marketplace would want to fetch for one job. */
const MAX_IMAGE_BYTES = 20 * 2 ** 30
/** The machine itself needs some memory. */
const KEPT_MEMORY_BYTES = 2 ** 30
const SPACE_MS = 1_000

export async function openHost(
  base: Base,
  engine: Engine,
  closer: Closer,
  onFatal: (error: unknown) => void,
): Promise<HostSide> {
  const { config, signal, log } = base
  const info = await engine.probe(signal)
  const swept = await engine.sweep(signal)
  if (swept > 0) log.info({ swept }, 'removed what a former process left')
  const policy = await policyOf(base, info.runtimes)
  const images = await openImages(base, engine, closer)
  const fleet = new Fleet(policy.total, config.host.maxQueue, (onGone) => {
    const onStopError = (error: unknown) => log.warn({ err: error }, 'a container could not be ended; it will be swept')
    return new WarmPool({ idleMs: config.host.warmIdleMs, onGone, onStopError })
  })
  closer.add(() => fleet.close())
  const book = await Book.open(base.store, base.tables, 'host')
  const advertiser = makeAdvertiser(base, policy, fleet, images, () => !host.draining)
  const lending = new Lending(base.currencies.caps('host.unconfirmedExposure', config.host.unconfirmedExposure), book)
  const deposits = depositsOf(base, lending, book)
  const settler = makeSettler(base, book, deposits)
  const copies = await openCopies(base, closer)
  const restorer = makeRestorer(base, book)
  const host: Host = new Host(
    hostComponents(base, {
      book,
      fleet,
      images,
      engine,
      policy,
      advertiser,
      settler,
      deposits,
      restorer,
      copies,
      onFatal,
    }),
  )
  const lost = await host.jobs.recover()
  if (lost > 0) log.warn({ lost }, 'jobs were under way when this host was stopped; they are not charged')
  await openDoors(base, host, policy, book, closer)
  await register(base)
  const lone = loneEndpoint(config.chain, config.host.exposureTotal)
  if (lone !== undefined) log.warn(lone, 'one endpoint alone is believed')
  await advertiser.start()
  closer.add(() => advertiser.stop())
  settler.start()
  closer.add(() => settler.stop())
  return {
    host,
    book,
    fleet,
    settler,
    lending,
    restorer,
    images,
    advertiser,
    policy,
    engine,
    engineVersion: info.version,
  }
}

function depositsOf({ config, chain, channels, alarms }: Base, lending: Lending, book: Book): Deposits {
  const { witness: url, confirmations, pollMs, requestTimeoutMs } = config.chain
  const witness = url === undefined ? undefined : new Chain(url, chain.deployment, { pollMs, requestTimeoutMs })
  const isKnown = (id: Hex) => book.channels.has(id)
  return new Deposits({ chain, channels, witness, confirmations, lending, alarms, isKnown })
}

async function policyOf(base: Base, runtimes: readonly string[]): Promise<HostPolicy> {
  const { host, limits } = base.config
  if (host.tariffs.length === 0) {
    throw new MecaError('bad_config', 'host.tariffs is empty: this host has no price', {
      cure: 'set host.tariffs in the configuration; see config/default.yml',
    })
  }
  const { os, architecture } = thisPlatform()
  return {
    tariffs: host.tariffs,
    total: await offered(base),
    formats: host.formats.filter((name) => FORMAT_NAMES.some((known) => known === name)),
    runtimes,
    platform: `${os}/${architecture}`,
    allowsNetwork: host.allowNetwork,
    maxSeconds: host.maxSeconds,
    maxInputBytes: limits.inputBytes,
    maxOutputBytes: limits.outputBytes,
    maxFilesInputBytes: limits.filesInputBytes,
    minCloseDelaySeconds: host.minCloseDelaySeconds,
  }
}

async function offered({ config, home }: Base): Promise<Resources> {
  const facts = await factReader(home.folder)()
  const { cpus, memoryBytes, gpus } = config.host
  return {
    cpuMillis: Math.round((cpus ?? facts.cpu.cores) * 1000),
    memoryBytes: memoryBytes ?? Math.max(0, facts.memory.totalBytes - KEPT_MEMORY_BYTES),
    gpus,
  }
}

async function openImages(base: Base, engine: Engine, closer: Closer): Promise<Images> {
  const { ipfs, store, tables } = base
  const registry = await startRegistry((cid, digest, { signal, offset }) =>
    ipfs.cat(`${cid}/image/${blobPath(digest)}`, { signal, offset, maxBytes: MAX_IMAGE_BYTES }),
  )
  closer.add(() => registry.close())
  const known: string[] = []
  for await (const [, cid] of tables.images.entries()) known.push(cid)
  const remember = (cid: string) => store.commit({ rows: [tables.images.put(cid, cid)] })
  return new Images(
    {
      ipfs,
      engine,
      registry,
      verify: (read, signal) => verifyImage(read, { signal }),
      maxImageBytes: MAX_IMAGE_BYTES,
      remember,
    },
    known,
  )
}

function makeAdvertiser(base: Base, policy: HostPolicy, fleet: Fleet, images: Images, open: () => boolean): Advertiser {
  return new Advertiser({
    domain: base.chain.domain,
    signer: base.signer,
    peerId: base.peer.peerId,
    policy,
    fleet,
    ttlMs: base.config.host.offerTtlMs,
    addresses: () => base.peer.addrs(),
    images: () => images.list(),
    open,
    publish: (offer) => {
      base.ownOffer.current = offer
      return base.offers.publish(offer)
    },
    onError: (error) => base.log.warn({ err: error }, 'the offer could not be published'),
    wallNow: () => Date.now(),
  })
}

/** Asked for every job, so the answer is kept for a moment: a disk does not fill up in a second. */
function spaceCheck({ home, log }: Base): () => Promise<void> {
  let checked = -Infinity
  return async () => {
    if (performance.now() - checked < SPACE_MS) return
    await home.requireSpace(0)
    checked = performance.now()
    // A start on a full disk gave it up, and the next one may need it again.
    await home.restoreBallast().catch((error: unknown) => log.warn({ err: error }, 'no reserve could be put aside'))
  }
}

type HostParts = {
  book: Book
  fleet: Fleet
  images: Images
  engine: Engine
  policy: HostPolicy
  advertiser: Advertiser
  settler: Settler
  deposits: Deposits
  restorer: Restorer
  copies: VoucherExport | undefined
  onFatal: (error: unknown) => void
}

function hostComponents(
  base: Base,
  { book, fleet, images, engine, policy, advertiser, settler, deposits, restorer, copies, onFatal }: HostParts,
): ConstructorParameters<typeof Host>[0] {
  const { chain, signer, config } = base
  const now = () => performance.now()
  const gpus = new GpuShelf(policy.total.gpus)
  const wallNow = () => Date.now()
  return {
    ...base,
    domain: chain.domain,
    peerId: base.peer.peerId,
    book,
    fleet,
    policy,
    confirmations: config.chain.confirmations,
    execute: {
      fleet,
      files: filesComponents(base, engine, gpus),
      image: (task, providers, signal, onProgress) => images.ensure(task, providers, signal, onProgress),
      start: (image, plan, { name, runtime = config.engine.runtime }, startSignal) =>
        gpus.lend(plan.resources.gpus, (gpuIds) =>
          engine.start(image, plan, { name, gpuIds, ...(runtime === undefined ? {} : { runtime }) }, startSignal),
        ),
      limits: {
        startTimeoutMs: config.limits.startTimeoutMs,
        fetchTimeoutMs: config.limits.fetchTimeoutMs,
        outputBytes: config.limits.outputBytes,
      },
      now,
      wallNow,
    },
    channelState: (id, token, signal) => deposits.state(id, token, signal),
    offered: (sequence) => advertiser.offered(sequence),
    requireSpace: spaceCheck(base),
    exportVouchers: exporter(base, book, copies),
    restorer,
    owed: (client, token) => settler.owed(client, token),
    exposure: exposureOf(base),
    collect: async (channelId) => {
      await settler.claim(channelId)
      return settler.pendingOn(channelId)
    },
    releaseSignature: (channelId, claimed) => signer.sign(releaseDigest(chain.domain, channelId, claimed)),
    ban: (peerId) => base.peer.ban(peerId),
    onFatal,
    log: base.log.child({ room: 'host' }),
    now,
    wallNow,
  }
}

/** Throws `bad_config` where this host would take a currency without a cap on what may be owed in it. */
function exposureOf({ config: { host }, currencies }: Base): { perClient: Caps; total: Caps } {
  const perClient = currencies.caps('host.exposurePerClient', host.exposurePerClient)
  const total = currencies.caps('host.exposureTotal', host.exposureTotal)
  for (const { token } of host.tariffs) {
    if (perClient.has(token) && total.has(token)) continue
    const name = currencies.name(token)
    throw new MecaError('bad_config', `host.tariffs takes ${name}, and no cap says how much of it may be owed`, {
      cure: `add an amount in ${name} to host.exposurePerClient and host.exposureTotal`,
    })
  }
  return { perClient, total }
}

/** Files jobs: their container, their links, and the disk that their outputs pass over. */
function filesComponents(base: Base, engine: Engine, gpus: GpuShelf): FilesComponents {
  const { config, ipfs, blobs, home, peer } = base
  return {
    run: async (image, plan, { runtime = config.engine.runtime, ...options }, signal) => {
      const lent = gpus.take(plan.resources.gpus)
      const gpuIds = lent.ids
      const sandbox = runtime === undefined ? {} : { runtime }
      return engine.run(image, plan, { ...options, gpuIds, ...sandbox }, signal).finally(lent.giveBack)
    },
    ipfs,
    blobs,
    scratch: home.paths.scratch,
    worker: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    limits: { inputBytes: config.limits.filesInputBytes, outputBytes: config.limits.filesOutputBytes },
    providers: () => peer.addrs().slice(0, 2),
  }
}

function makeSettler(base: Base, book: Book, deposits: Deposits): Settler {
  const { channels, wallet, chain, config } = base
  return new Settler({
    book,
    look: lookout(chain),
    state: (id, token, signal) => deposits.state(id, token, signal),
    lane: (id, task, signal) => channels.lane(id, task, signal),
    claim: async (groups, signal) => {
      const { receipt } = await channels.claim(wallet, groups, signal)
      return { tx: receipt?.hash ?? null, gasUsed: receipt?.gasUsed ?? 0n }
    },
    claimThreshold: base.currencies.caps('host.claimThreshold', config.host.claimThreshold),
    claimEveryMs: config.host.claimEveryMs,
    watchEveryMs: Math.max(1_000, 4 * config.chain.pollMs),
    alarms: base.alarms,
    tell: (amount, token) => base.currencies.show(amount, token),
    log: base.log.child({ room: 'settle' }),
    signal: base.signal,
    wallNow: () => Date.now(),
    now: () => performance.now(),
  })
}

/** The smaller parts of the stories: what is heard of the market, what is believed of a task, how results leave. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { taskIdOf } from '../../src/core/cid.ts'
import { PhaseClock } from '../../src/core/job.ts'
import type { Offer } from '../../src/core/offer.ts'
import { receiptChecker } from '../../src/core/receipt.ts'
import type { SignedReceipt } from '../../src/core/receipt.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { makeDomain, offerDigest } from '../../src/core/typed.ts'
import type { Receipt } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import { toWire } from '../../src/core/wire.ts'
import { WarmPool } from '../../src/engine/pool.ts'
import { Advertiser } from '../../src/role/advertise.ts'
import { execute } from '../../src/role/execute.ts'
import type { FilesComponents } from '../../src/role/execute-files.ts'
import { Fleet } from '../../src/role/fleet.ts'
import { InputGate } from '../../src/role/host-inputs.ts'
import { Market } from '../../src/role/market.ts'
import { Outbox } from '../../src/role/outbox.ts'
import { sha256 } from '../../src/role/sums.ts'
import { Tasks } from '../../src/role/tasks.ts'
import type { KnownTask, RegistryEntry } from '../../src/role/tasks.ts'
import { formatManifest } from '../../src/task/package.ts'
import type { Manifest } from '../../src/task/package.ts'
import { failure } from '../support/engine.ts'
import { openStore, word } from './home.ts'
import { eventually, RESOURCES } from './stage.ts'

const DOMAIN = makeDomain(1, `0x${'cc'.repeat(20)}`)
const { signal } = new AbortController()
const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const POLICY = {
  tariffs: [{ token: NATIVE, perJob: 1n, perCpuSecond: 0n, perGibSecond: 0n, perGpuSecond: 0n }],
  total: RESOURCES,
  formats: ['meca'],
  runtimes: ['runc'],
  platform: 'linux/amd64',
  allowsNetwork: false,
  maxSeconds: 60,
  maxInputBytes: 1000,
  maxOutputBytes: 1000,
  maxFilesInputBytes: 1000,
  minCloseDelaySeconds: 1,
}

function offerBy(key: number, over: Partial<Offer> = {}) {
  const signer = makeSigner(Buffer.from(word(key + 1).slice(2), 'hex'))
  const { total, ...policy } = POLICY
  const offer: Offer = {
    v: 1,
    chainId: 1,
    channels: DOMAIN.channels,
    host: signer.address,
    peerId: '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo',
    addresses: [],
    sequence: 1,
    issuedAt: 1_000_000,
    expiresAt: 1_060_000 + key,
    total,
    free: total,
    queueFree: 1,
    images: [],
    ...policy,
    ...over,
  }
  const text = JSON.stringify(toWire(offer))
  return { offer, message: { text, signature: signer.sign(offerDigest(DOMAIN, text)) } }
}

test('of each host the newest offer is believed, until it expires; forged ones and those of another peer are rejected', () => {
  let now = 1_000_000
  const market = new Market(DOMAIN, () => now)
  const hear = (o: ReturnType<typeof offerBy>, author?: string) =>
    market.validate(o.message, { via: 'x', ...(author === undefined ? {} : { author }) })
  const second = offerBy(1, { sequence: 2 })
  assert.equal(hear(second), 'accept')
  assert.equal(hear(second), 'ignore')
  assert.equal(hear(offerBy(1, { sequence: 1 })), 'ignore')
  assert.equal(hear(offerBy(1, { sequence: 3 }), second.offer.peerId), 'accept')
  assert.equal(hear(offerBy(1, { sequence: 4 }), 'another peer'), 'reject')
  assert.equal(market.validate({ ...offerBy(2).message, signature: second.message.signature }, { via: 'x' }), 'reject')
  assert.equal(market.validate({ text: 'nonsense', signature: second.message.signature }, { via: 'x' }), 'reject')
  assert.equal(market.find(second.offer.host)?.offer.sequence, 3)
  now = 1_060_002
  assert.deepEqual(market.heard(), [])
  assert.equal(hear(offerBy(1, { sequence: 5 })), 'ignore', 'late is not false')
})

test('a flood of hosts is held to its bound, and the first to expire make room', () => {
  const market = new Market(DOMAIN, () => 1_000_000)
  for (let key = 0; key < 1010; key++) market.validate(offerBy(key).message, { via: 'x' })
  assert.equal(market.heard().length, 1000)
  assert.equal(market.find(offerBy(0).offer.host), undefined)
  assert.notEqual(market.find(offerBy(1009).offer.host), undefined)
})

test('a host’s offers have growing numbers, stand until they expire and a moment longer, and stop when it drains', async () => {
  const fleet = new Fleet(RESOURCES, 4, (onGone) => new WarmPool({ idleMs: 1, onGone }))
  const published: Offer[] = []
  let [now, open] = [1_000_000, true]
  const advertiser = new Advertiser({
    domain: DOMAIN,
    signer: makeSigner(Buffer.alloc(32, 1)),
    peerId: '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo',
    policy: POLICY,
    fleet,
    ttlMs: 10_000,
    addresses: () => [],
    images: () => [],
    open: () => open,
    publish: ({ text }) => Promise.resolve(void published.push(JSON.parse(text) as Offer)),
    onError: (error) => assert.fail(String(error)),
    wallNow: () => now,
  })
  await advertiser.start()
  advertiser.stop()
  await advertiser.start()
  advertiser.stop()
  open = false
  await advertiser.start()
  advertiser.stop()
  const [first, second] = published.map(({ sequence }) => sequence)
  assert.equal(published.length, 2)
  assert.ok(first !== undefined && second !== undefined && second > first)
  assert.deepEqual(advertiser.offered(first), POLICY.tariffs)
  assert.equal(advertiser.offered(first - 1), undefined)
  now += 10_000 + 30_000
  assert.deepEqual(advertiser.offered(first), POLICY.tariffs)
  now += 1
  assert.equal(advertiser.offered(first), undefined)
})

const MANIFEST: Manifest = {
  schemaVersion: 1,
  name: 'words',
  version: '1.0.0',
  title: '',
  description: '',
  format: 'meca',
  developer: `0x${'de'.repeat(20)}`,
  fee: 5n,
  token: NATIVE,
  image: { manifest: `sha256:${'ab'.repeat(32)}`, id: `sha256:${'ab'.repeat(32)}`, platform: 'linux/amd64', bytes: 1 },
  resources: RESOURCES,
  determinism: 'none',
  needsNetwork: false,
  descriptor: 'config.json',
}
const ENTRY: RegistryEntry = {
  taskId: taskIdOf(CID),
  developer: MANIFEST.developer,
  payee: MANIFEST.developer,
  fee: 5n,
  token: NATIVE,
  name: 'words',
  version: '1.0.0',
  retired: false,
}

function tasksWith(entry: RegistryEntry | undefined, text = formatManifest(MANIFEST), now = () => 0) {
  const reads: string[] = []
  const sources: ConstructorParameters<typeof Tasks>[0] = {
    read: (path) => {
      reads.push(path)
      return Promise.resolve(Buffer.from(path.endsWith('task.json') ? text : '{}'))
    },
    entry: () => Promise.resolve(entry),
    latest: () => Promise.resolve(entry?.taskId),
    version: () => Promise.resolve(undefined),
  }
  return { tasks: new Tasks(sources, now), reads }
}

test('a task whose registry entry says something else than its package is refused, with both', async () => {
  const lies: [string, Partial<RegistryEntry>][] = [
    ['developer', { developer: `0x${'ee'.repeat(20)}` }],
    ['fee', { fee: 6n }],
    ['token', { token: `0x${'ee'.repeat(20)}` }],
    ['name', { name: 'other' }],
    ['version', { version: '2.0.0' }],
  ]
  for (const [what, over] of lies) {
    const error = await failure('invalid_task', tasksWith({ ...ENTRY, ...over }).tasks.get(CID, signal))
    assert.match(
      error.message,
      new RegExp(`the ${what} in the package is .*, on chain ${String(Object.values(over)[0])}`),
    )
  }
  assert.equal((await tasksWith(ENTRY).tasks.get(CID, signal)).manifest.name, 'words')
})

test('a task that nobody published, one that is no package, and one that is no text are told apart', async () => {
  await failure('not_found', tasksWith(undefined).tasks.get(CID, signal))
  await failure('invalid_task', tasksWith(ENTRY, '{}').tasks.get(CID, signal))
  await failure('invalid_task', tasksWith(ENTRY, '\u0000').tasks.get(CID, signal))
  const { tasks } = tasksWith(ENTRY)
  await failure('bad_input', tasks.resolve('nonsense', signal))
  await failure('bad_input', tasks.resolve('a/b/c', signal))
  await failure('not_found', tasks.resolve(`${MANIFEST.developer}/words@9.9.9`, signal))
  assert.equal(await tasks.resolve(`${MANIFEST.developer}/words`, signal), CID)
})

test('an entry is read anew after a while, the package never', async () => {
  let now = 0
  const { tasks, reads } = tasksWith(ENTRY, undefined, () => now)
  await tasks.get(CID, signal)
  assert.notEqual(tasks.cached(CID), undefined)
  now = 300_001
  assert.equal(tasks.cached(CID), undefined)
  await tasks.get(CID, signal)
  assert.equal(reads.length, 2)
})

test('results of one turn share one signature and one write, and nothing is sent before it is written', async () => {
  const signer = makeSigner(Buffer.alloc(32, 1))
  const signed: SignedReceipt[] = []
  const steps: string[] = []
  const written = Promise.withResolvers<void>()
  const outbox = new Outbox<{ receipt: Receipt; stage(own: SignedReceipt): void }>(
    DOMAIN,
    signer,
    async (batch) => {
      steps.push(`write ${batch.length}`)
      await written.promise
    },
    (batch) => steps.push(`send ${batch.length}`),
  )
  const receipt = (n: number): Receipt => ({
    channelId: word(1),
    jobHash: word(n),
    taskId: word(2),
    inputHash: word(3),
    outputHash: word(4),
    status: 1,
    hostAmount: BigInt(n),
    developerAmount: 1n,
    startedAt: 1,
    endedAt: 2,
  })
  for (let n = 0; n < 300; n++) outbox.add({ receipt: receipt(n), stage: (own) => signed.push(own) })
  await nextTurn()
  await nextTurn()
  assert.deepEqual(steps, ['write 256'])
  written.resolve()
  await outbox.idle()
  assert.deepEqual(steps, ['write 256', 'send 256', 'write 44', 'send 44'])
  assert.equal(new Set(signed.map(({ signature }) => signature)).size, 2)
  const check = receiptChecker(DOMAIN, signer.address)
  assert.ok(signed.every(check))
})

test('an input is taken when it is the promised one, from the frame or from a stream', async (t) => {
  const { blobs } = await openStore(t)
  const bytes = Buffer.from('the input')
  const record = { inputHash: sha256(bytes), inputBytes: bytes.length } as ConstructorParameters<typeof InputGate>[0]
  const stream = async function* (text: string) {
    yield await Promise.resolve(Buffer.from(text))
  }
  assert.deepEqual(await new InputGate(record, bytes, blobs).take(signal), bytes)
  await failure('bad_input', new InputGate(record, Buffer.from('another'), blobs).take(signal))
  const gate = new InputGate(record, undefined, blobs)
  const taken = gate.take(signal)
  await assert.rejects(gate.receive(stream('an other'), 0, signal))
  await assert.rejects(gate.receive(stream('the input and more'), 0, signal))
  await gate.receive(stream('the input'), 0, signal)
  assert.deepEqual(await taken, bytes)
  const stop = new AbortController()
  const never = new InputGate({ ...record, inputHash: word(5) }, undefined, blobs).take(stop.signal)
  stop.abort(new Error('the caller left'))
  await assert.rejects(never, /the caller left/)
})

const unasked = () => assert.fail('an http task needs none of this')
const NO_FILES: FilesComponents = {
  run: unasked,
  ipfs: { fetch: unasked, list: unasked, stat: unasked, cat: unasked, addFolder: unasked },
  blobs: { write: unasked },
  scratch: '/nowhere',
  worker: { uid: 0, gid: 0 },
  limits: { inputBytes: 0, outputBytes: 0 },
  providers: unasked,
}

test('an image that does not come in time is the host’s failure, by its own name', async () => {
  const fleet = new Fleet(RESOURCES, 4, (onGone) => new WarmPool({ idleMs: 1, onGone }))
  const task: KnownTask = { cid: CID, taskId: taskIdOf(CID), manifest: MANIFEST, descriptor: '{}', entry: ENTRY }
  const execution = await execute(
    {
      fleet,
      image: (_task, _providers, until) =>
        new Promise((_, reject) => until.addEventListener('abort', () => reject(until.reason as Error))),
      start: () => assert.fail('nothing is there to start'),
      files: NO_FILES,
      limits: { startTimeoutMs: 1000, fetchTimeoutMs: 50, outputBytes: 1 },
      wallNow: () => 1,
      now: () => performance.now(),
    },
    {
      poolKey: 'k',
      name: 'job',
      task,
      resources: RESOURCES,
      maxSeconds: 1,
      runtime: undefined,
      input: () => Promise.resolve(Buffer.from('x')),
      source: () => assert.fail('it is held in memory'),
      providers: [],
    },
    { clock: new PhaseClock(0), onPhase: () => undefined },
    signal,
  )
  assert.equal(execution.status, 'host_failed')
  assert.equal(execution.outcome.problem?.code, 'timeout')
  assert.match(execution.outcome.problem.message, /did not arrive within 0.05 s/)
  assert.equal(execution.runMs, 0)
  await eventually('its room is free again', () => fleet.free.cpuMillis === RESOURCES.cpuMillis)
})

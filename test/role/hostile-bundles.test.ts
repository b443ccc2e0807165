/**
 * Bundles that are none, sent as the paid jobs of a files task to a running host, past every check that an honest client
 * makes. After each: a typed reason that names the part, nothing started, nothing billed, nothing left on disk, and the
 * next honest job is served.
 */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { headOf } from '../../src/bundle/read.ts'
import { packBundle } from '../../src/bundle/write.ts'
import { findAnvil } from '../../src/chain/anvil.ts'
import { NO_PARAMETERS } from '../../src/core/bundle.ts'
import { STATUS } from '../../src/core/receipt.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import { INLINE_BYTES } from '../../src/core/wire.ts'
import type { Engine, FilesRun } from '../../src/engine/engine.ts'
import { putData } from '../../src/p2p/data.ts'
import { sha256 } from '../../src/role/sums.ts'
import type { Base } from '../../src/wiring/base.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import type { HostSide } from '../../src/wiring/host-side.ts'
import { stream, tar } from '../image/support.ts'
import type { Raw } from '../image/support.ts'
import { descriptor } from '../task/cytomine-kit.ts'
import { booked, RawClient } from './raw-client.ts'
import { eventually, FakeEngine, openStage } from './stage.ts'
import type { Published, Stage } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const HOST = 3
const MALLORY = 4

const TASK = {
  format: 'cytomine' as const,
  path: 'descriptor.yml',
  text: descriptor({ count: 'integer', notes: { type: 'file', optional: true } }, { total: 'integer' }),
}

const jobText = (over: Record<string, unknown> = {}) =>
  JSON.stringify({ ...NO_PARAMETERS, values: { count: '2' }, ...over })
const withNotes = jobText({ files: { notes: 'file' } })
const bundle = (text: string, ...entries: Raw[]) => tar({ name: 'job.json', content: text }, ...entries)
const notes = (over: Partial<Raw>): Buffer => bundle(withNotes, { name: 'inputs/notes', content: 'x', ...over })

const HOSTILE: readonly [string, Buffer, string, RegExp][] = [
  ['no bundle at all', Buffer.alloc(4096, 7), 'bad_input', /no bundle/],
  ['a bundle that breaks off', notes({ size: 100_000 }).subarray(0, 2048), 'bad_input', /ends inside|no bundle/],
  [
    'a bundle that begins with something else',
    tar({ name: 'evil', content: '{}' }),
    'bad_input',
    /begins with job\.json/,
  ],
  ['a path that climbs out', notes({ name: 'inputs/../../../etc/cron.d/x' }), 'bad_input', /an empty, \. or \.\. part/],
  ['an absolute path', notes({ name: '/etc/passwd' }), 'bad_input', /is absolute/],
  ['a link', notes({ type: '2', link: '/etc/shadow', content: '' }), 'bad_input', /inputs\/notes .* is a symlink/],
  ['a hard link', notes({ type: '1', link: '/etc/shadow', content: '' }), 'bad_input', /inputs\/notes .* is a link/],
  ['a device', notes({ type: '3', content: '' }), 'bad_input', /inputs\/notes .* is a character-device/],
  ['a pipe', notes({ type: '6', content: '' }), 'bad_input', /inputs\/notes .* is a fifo/],
  [
    'one name twice',
    bundle(withNotes, ...Array<Raw>(2).fill({ name: 'inputs/notes', content: 'x' })),
    'bad_input',
    /twice/,
  ],
  ['two descriptions of a job', bundle(jobText(), { name: 'job.json', content: jobText() }), 'bad_input', /job\.json/],
  ['a file that nobody named', bundle(jobText(), { name: 'inputs/extra', content: 'x' }), 'bad_input', /inputs\/extra/],
  ['a file that does not come', bundle(withNotes), 'bad_input', /"notes"/],
  ['a description that is no JSON', bundle('{'), 'bad_input', /job\.json is not JSON/],
  ['JSON nested a million deep', bundle('['.repeat(1e6)), 'bad_input', /job\.json is (not JSON|malformed)/],
  ['a description of five megabytes', bundle(' '.repeat(5 * 2 ** 20)), 'too_large', /job\.json has 5242880 bytes/],
  ['a prototype', bundle('{"v":1,"__proto__":{"keepOnIpfs":true}}'), 'bad_input', /malformed/],
  ['a wish for privileges', bundle(jobText({ privileged: true })), 'bad_input', /privileged/],
  [
    'a value of another type',
    bundle(jobText({ values: { count: 'two' } })),
    'bad_input',
    /count must be a whole number/,
  ],
  ['no value where one must be', bundle(jobText({ values: {} })), 'bad_input', /count is missing/],
  ['an input that the task does not have', bundle(jobText({ values: { count: '2', evil: '1' } })), 'bad_input', /evil/],
]

describe('bundles that are none, at a running host', { skip }, () => {
  let stage: Stage
  let base: Base
  let side: HostSide
  let task: Published
  let mallory: RawClient
  let terms: ChannelTerms
  let runs = 0
  let ids = 0

  /** Takes in what is staged, and leaves the number that the task promises. */
  const run: Engine['run'] = async (_image, _plan, { staged, onStarted }) => {
    runs++
    for await (const entry of staged)
      if (entry.kind === 'file' && !(entry.body instanceof Uint8Array)) await headOf(entry.body, 0)
    onStarted?.()
    const left: FilesRun = {
      end: { exitCode: 0, outOfMemory: false, logTail: '' },
      timings: {},
      console: new Uint8Array(0),
      outputs: async function* () {
        yield await Promise.resolve({ kind: 'file', name: 'total', path: '', bytes: 1, body: stream(Buffer.from('2')) })
      },
      dispose: () => Promise.resolve(),
    }
    return left
  }

  before(async () => {
    stage = await openStage()
    const opened = await stage.open('host', HOST)
    base = opened.base
    const engine = { ...new FakeEngine().engine, run }
    side = await openHost(base, engine, opened.closer, (error) => assert.fail(String(error)))
    task = await stage.publish('files', [base], TASK)
    terms = await stage.openChannel(MALLORY, base.signer.address)
    const target = { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address }
    mallory = await RawClient.connect(target, stage.market.signer(MALLORY))
    stage.closer.add(() => mallory.close())
    await mallory.greet(terms)
  })

  after(() => stage.close())

  /** A job to its end, its input beside the message or on a stream of its own. */
  async function work(input: Buffer) {
    const id = `job-${++ids}`
    const { inline: _, ...job } = mallory.job(id, task, '', { inputHash: sha256(input), inputBytes: input.length })
    const isInline = input.length <= INLINE_BYTES
    mallory.submit(terms, task, [isInline ? { ...job, inline: 0 } : job], isInline ? [input] : [])
    if (!isInline) await upload(id, input)
    return mallory.result(id)
  }

  const upload = (id: string, input: Buffer) =>
    putData(
      mallory.peer,
      base.peer.addrs(),
      { op: 'put', channelId: mallory.channelId(terms), id, offset: 0 },
      { lengthBytes: input.length, read: (offset) => stream(input.subarray(offset)) },
      { signal: AbortSignal.timeout(30_000) },
    )

  async function nothingLeft(): Promise<void> {
    await eventually('no job is left under way', () => side.host.jobs.live.size === 0)
    assert.deepEqual(await readdir(join(base.home.paths.blobs, 'incoming')), [])
    assert.deepEqual(await readdir(base.home.paths.scratch), [])
  }

  for (const [what, input, code, message] of HOSTILE) {
    test(`${what} costs nothing, leaves nothing, and the host goes on`, async () => {
      const before = { runs, ...booked(side, mallory.channelId(terms)) }
      const { result } = await work(input)
      const { receipt } = result.signed
      assert.equal(receipt.status, STATUS.host_failed)
      assert.equal(receipt.hostAmount + receipt.developerAmount, 0n)
      assert.equal(result.outcome.problem?.code, code, result.outcome.problem?.message)
      assert.match(result.outcome.problem?.message ?? '', message)
      const { billed, reserved } = booked(side, mallory.channelId(terms))
      assert.deepEqual({ runs, billed, reserved }, { runs: before.runs, billed: before.billed, reserved: 0n })
      await nothingLeft()
      const honest = await work(notes({}))
      assert.equal(honest.result.signed.receipt.status, STATUS.answered, honest.result.outcome.problem?.message)
      assert.equal(runs, before.runs + 1)
      await nothingLeft()
    })
  }

  test('what is packed by our own hand is taken', async () => {
    const chunks: Uint8Array[] = []
    for await (const chunk of packBundle({ path: 'job.json', text: jobText() }, [])) chunks.push(chunk)
    const { result } = await work(Buffer.concat(chunks))
    assert.equal(result.signed.receipt.status, STATUS.answered)
  })
})

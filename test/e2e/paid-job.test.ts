/** A paid job from publishing to the last wei, between real nodes over a real chain, network, IPFS and engine. */
import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import { findAnvil } from '../../src/chain/anvil.ts'
import { MecaError } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { NodeApi } from '../../src/role/api.ts'
import type { Published } from '../../src/role/api-developer.ts'
import type { RunOptions, RunResult } from '../../src/role/api-client.ts'
import { dockerMissing } from '../support/images.ts'
import { openWorld } from '../support/world.ts'
import type { World } from '../support/world.ts'

const TASK = new URL('../../examples/meca-shell', import.meta.url).pathname
const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : await dockerMissing()
const { signal } = new AbortController()
const quiet = (): void => undefined
const FEE = 1_000_000n

describe('a paid job', { skip }, () => {
  let world: World
  let task: Published
  let input: Buffer
  let expected: Buffer
  let client: NodeApi
  let host: NodeApi

  before(async () => {
    await ensureBase(new Docker(), 'busybox', signal)
    world = await openWorld({ hosts: 2 })
    client = world.client.api
    const [first] = world.hosts
    assert.ok(first)
    host = first.api
    input = await readFile(join(TASK, 'example_input.bin'))
    expected = await readFile(join(TASK, 'example_output.bin'))
    task = await publish(TASK, '1.0.0')
  })

  after(async () => {
    await world.close()
  })

  function publish(dir: string, version: string): Promise<Published> {
    return world.developer.api.developer.publish(
      dir,
      { fee: FEE, name: 'e2e', version, buildArgs: { BASE: 'meca-base/busybox' } },
      quiet,
      signal,
    )
  }

  async function run(
    options: RunOptions = {},
    body: Uint8Array = input,
  ): Promise<{ result: RunResult; output: Buffer }> {
    const result = await client.client.run(task.cid, body, { maxSeconds: 20, ...options }, quiet, signal)
    const chunks: Uint8Array[] = []
    for await (const chunk of await client.client.output(result.job)) chunks.push(chunk)
    return { result, output: Buffer.concat(chunks) }
  }

  async function fails(code: ErrorCode, work: Promise<unknown>): Promise<MecaError> {
    const error = await work.then(
      () => assert.fail(`expected ${code}`),
      (e: unknown) => e,
    )
    assert.ok(error instanceof MecaError, String(error))
    assert.equal(error.code, code, error.message)
    return error
  }

  test('is quoted by both hosts, with the price in its parts', async () => {
    const quote = await client.client.quote(task.cid, { maxSeconds: 10 }, signal)
    assert.equal(quote.hosts.length, 2, JSON.stringify(quote.refusals))
    for (const h of quote.hosts) {
      assert.equal(h.developerAmount, FEE.toString())
      assert.equal(BigInt(h.total), BigInt(h.hostAmount) + FEE)
    }
  })

  test('runs cold, then warm, with the bytes of the example and a bill within the quote', async () => {
    const cold = await run({ host: await addressOf(host) })
    assert.deepEqual(cold.output, expected)
    assert.equal(cold.result.status, 'answered')
    assert.equal(cold.result.warm, false)
    const warm = await run({ host: await addressOf(host) })
    assert.equal(warm.result.warm, true)
    assert.equal(warm.result.phases.startMs, 0)
    const { quoted, host: billed, developer } = warm.result.price
    assert.equal(developer, FEE.toString())
    assert.ok(BigInt(billed) + BigInt(developer) <= BigInt(quoted))
  })

  test('a job id runs once: sent again it returns the stored result and costs nothing', async () => {
    const first = await run({ id: 'once' })
    const before = await billedOn(client)
    const again = await run({ id: 'once' })
    assert.equal(again.result.replayed, true)
    assert.equal(again.result.receipt, first.result.receipt)
    assert.deepEqual(again.output, first.output)
    assert.equal(await billedOn(client), before)
    await fails('job_conflict', run({ id: 'once' }, Buffer.from('another input')))
  })

  test('eight at once share one channel', async () => {
    const channelsBefore = (await client.money.channels(signal)).length
    const results = await Promise.all(Array.from({ length: 8 }, () => run()))
    for (const { output } of results) assert.deepEqual(output, expected)
    assert.equal(new Set(results.map(({ result }) => result.job)).size, 8)
    assert.ok((await client.money.channels(signal)).length <= Math.max(2, channelsBefore))
  })

  test('an input and an output too large for a frame travel on streams of their own', async () => {
    const large = Buffer.alloc(300_000, 'x')
    const { result, output } = await run({}, large)
    assert.equal(result.status, 'answered')
    assert.match(output.toString(), /"bytes":300000/)
  })

  test('refuses what cannot be right, each with its own error, and charges nothing for it', async () => {
    const before = await billedOn(client)
    await fails('price_cap', run({ maxPrice: 1n }))
    await fails('no_host', run({ maxSeconds: 2_000_000 }))
    await fails('no_host', run({ host: `0x${'12'.repeat(20)}` }))
    await fails('bad_input', client.client.run('nonsense', input, {}, quiet, signal))
    await fails(
      'not_found',
      client.client.run('bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi', input, {}, quiet, signal),
    )
    await fails('bad_input', run({ id: 'not a job id!' }))
    for (const maxSeconds of [0, -1, 1.5, 1e12]) await fails('bad_input', run({ maxSeconds }))
    assert.ok(Array.isArray(await client.client.jobs({ limit: 10 })))
    assert.equal(await billedOn(client), before)
  })

  test('a second version with one changed file adds little, and a name resolves to the newest', async () => {
    const copy = await mkdtemp(join(tmpdir(), 'meca-e2e-'))
    try {
      await cp(TASK, copy, { recursive: true })
      await writeFile(join(copy, 'src', 'note.txt'), 'a changed layer')
      const second = await publish(copy, '1.1.0')
      assert.ok(second.newBytes < second.bytes / 10, `${second.newBytes} of ${second.bytes} bytes were new`)
      const shown = await client.developer.show(`${second.developer}/e2e`, signal)
      assert.equal(shown.cid, second.cid)
      assert.equal((await client.developer.show(`${second.developer}/e2e@1.0.0`, signal)).cid, task.cid)
      await fails('bad_input', publish(copy, '1.1.0'))
    } finally {
      await rm(copy, { recursive: true, force: true })
    }
  })

  test('is settled to the last wei: claimed, withdrawn, the rest of the deposit back', async () => {
    await until(async () =>
      (await Promise.all(world.hosts.map(async ({ api }) => (await api.host?.status())?.running.length))).every(
        (n) => n === 0,
      ),
    )
    await new Promise((resolve) => setTimeout(resolve, 200))
    for (const { api } of world.hosts) await api.money.claim({}, signal)
    for (const { channel } of await client.money.channels(signal)) await client.money.close(channel, signal)
    for (const { api } of [world.client, ...world.hosts]) {
      const { lines } = await api.money.reconcile(signal)
      assert.deepEqual(
        lines.filter(({ difference }) => difference !== '0'),
        [],
      )
    }
    const closed = await client.money.channels(signal)
    assert.ok(closed.every(({ state }) => state === 'closed'))
    const earned = await Promise.all(world.hosts.map(({ api }) => api.money.withdraw({}, signal)))
    const fees = await world.developer.api.money.withdraw({}, signal)
    const paid = closed.reduce((sum, { claimed }) => sum + BigInt(claimed), 0n)
    assert.equal(earned.reduce((sum, { amount }) => sum + BigInt(amount), 0n) + BigInt(fees.amount), paid)
    assert.ok(BigInt(fees.amount) % FEE === 0n && BigInt(fees.amount) > 0n)
  })
})

async function addressOf(node: NodeApi) {
  return (await node.info()).address
}

async function billedOn(node: NodeApi): Promise<bigint> {
  return (await node.money.channels(signal)).reduce((sum, { billed }) => sum + BigInt(billed), 0n)
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200 && !(await condition()); i++) await new Promise((resolve) => setTimeout(resolve, 50))
}

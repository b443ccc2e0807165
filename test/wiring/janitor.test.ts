/** What is thrown away and what is kept, in a real home folder. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { hostJobKey } from '../../src/core/records.ts'
import type { HostJob } from '../../src/core/records.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { Blobs } from '../../src/store/blobs.ts'
import { openHome } from '../../src/store/home.ts'
import { Store } from '../../src/store/store.ts'
import { tidy } from '../../src/wiring/janitor.ts'
import { openTables } from '../../src/wiring/tables.ts'

const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const { signal } = new AbortController()
const HOUR = 3_600_000
const DAY = 24 * HOUR
const CLIENT: Hex = `0x${'c1'.repeat(20)}`
const hash = (byte: string): Hex => `0x${byte.repeat(32)}`

function job(id: string, endedAt: number | undefined, outputHash: Hex): HostJob {
  const [channelId, taskId, inputHash] = [hash('aa'), hash('bb'), hash('cc')]
  const price = { token: NATIVE, hostAmount: 5n, developerAmount: 1n, maxSeconds: 10 }
  const known = {
    id,
    channelId,
    client: CLIENT,
    taskId,
    cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
    inputHash,
    inputBytes: 1,
    price,
    resources: { cpuMillis: 1000, memoryBytes: 2 ** 27, gpus: 0 },
    acceptedAt: 0,
  }
  if (endedAt === undefined) return known
  const amounts = { hostAmount: 5n, developerAmount: 1n, startedAt: endedAt, endedAt }
  const receipt = { channelId, jobHash: hash('dd'), taskId, inputHash, outputHash, status: 1, ...amounts }
  const phases = { queuedMs: 0, fetchMs: 0, startMs: 0, runMs: 1, deliverMs: 0, totalMs: 1 }
  return {
    ...known,
    signed: { receipt, proof: [], signature: `0x${'11'.repeat(65)}` },
    outcome: { warm: true, phases, outputBytes: 3 },
  }
}

test('outputs go once their client has them, or never asked for a week; what is needed or young stays', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'meca-janitor-'))
  const home = await openHome(join(folder, 'home'), { floorBytes: 0, ballastBytes: 0 })
  const store = await Store.open(home)
  try {
    const tables = openTables(store)
    const blobs = await Blobs.open(home, 2 ** 20)
    const write = async (text: string) => (await blobs.write([Buffer.from(text)], { signal, maxBytes: 100 })).hash
    const now = Date.now() + 30 * DAY
    const outputs = { fresh: await write('fresh'), unasked: await write('unasked'), acked: await write('acked') }
    const jobs = [
      job('fresh', now - DAY, outputs.fresh),
      job('unasked', now - 8 * DAY, outputs.unasked),
      job('acked', now - DAY, outputs.acked),
      job('running', undefined, hash('00')),
    ]
    const key = (id: string) => hostJobKey(CLIENT, id)
    const unpinned: string[] = []
    const ipfs = { unpin: (cid: string) => Promise.resolve(void unpinned.push(cid)) }
    await store.commit({
      journal: [{ kind: 'test' }],
      rows: [
        ...jobs.flatMap((j) => [tables.hostJobs.put(key(j.id), j), tables.outputs.put(key(j.id), 'AAAA')]),
        tables.acks.put(key('acked'), now - 2 * HOUR),
        tables.keptOutputs.put(key('acked'), CID),
        tables.keptOutputs.put(key('fresh'), CID),
      ],
    })
    await tidy({ tables, store, blobs, ipfs, signal }, now)
    assert.deepEqual(
      await Promise.all(jobs.map(async ({ id }) => [id, (await tables.outputs.get(key(id))) !== undefined])),
      [
        ['fresh', true],
        ['unasked', false],
        ['acked', false],
        ['running', true],
      ],
    )
    assert.deepEqual(unpinned, [CID], 'an output that stayed on IPFS is kept as long as the output itself')
    assert.equal(await tables.keptOutputs.get(key('acked')), undefined)
    assert.notEqual(await tables.keptOutputs.get(key('fresh')), undefined)
    assert.notEqual(await blobs.size(outputs.fresh), undefined)
    assert.equal(await blobs.size(outputs.unasked), undefined)
    assert.equal(await blobs.size(outputs.acked), undefined)
    assert.notEqual(await tables.hostJobs.get(key('acked')), undefined, 'the record of the job stays')
    const young = await write('a transfer under way')
    await tidy({ tables, store, blobs, ipfs, signal }, Date.now())
    assert.notEqual(await blobs.size(young), undefined)
  } finally {
    await store.close()
    await home.close()
    await rm(folder, { recursive: true, force: true })
  }
})

/** One input, brought by several streams: as after a restart, when the former stream has not been noticed as broken yet. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { NATIVE } from '../../src/core/units.ts'
import type { HostJob } from '../../src/core/records.ts'
import { InputGate } from '../../src/role/host-inputs.ts'
import { sha256 } from '../../src/role/sums.ts'
import { Blobs } from '../../src/store/blobs.ts'
import { openHome } from '../../src/store/home.ts'
import { SMALL, tempFolder } from '../store/support.ts'

const PIECE_BYTES = 10_000
const { signal } = new AbortController()

function jobOf(input: Uint8Array): HostJob {
  const hash = `0x${'11'.repeat(32)}` as const
  return {
    id: 'job-1',
    channelId: hash,
    client: `0x${'22'.repeat(20)}`,
    taskId: hash,
    cid: 'none',
    inputHash: sha256(input),
    inputBytes: input.length,
    price: { token: NATIVE, hostAmount: 1n, developerAmount: 1n, maxSeconds: 1 },
    resources: { cpuMillis: 1, memoryBytes: 1, gpus: 0 },
    acceptedAt: 0,
  }
}

test('two streams that were told the same offset do not write over each other: one is sent back to ask again', async (t) => {
  const home = await openHome(await tempFolder(t), SMALL)
  t.after(() => home.close())
  const input = randomBytes(10 * PIECE_BYTES)
  const gate = new InputGate(jobOf(input), undefined, await Blobs.open(home, 2 ** 30))
  async function* from(offset: number): AsyncGenerator<Uint8Array> {
    for (let at = offset; at < input.length; at += PIECE_BYTES)
      yield await Promise.resolve(input.subarray(at, at + PIECE_BYTES))
  }
  const offsets = await Promise.all([gate.offset(), gate.offset(), gate.offset()])
  assert.deepEqual(offsets, [0, 0, 0])
  const ends = await Promise.allSettled(offsets.map((offset) => gate.receive(from(offset), offset, signal)))
  assert.deepEqual(
    ends.map((end) => (end.status === 'rejected' ? (end.reason as { code?: string }).code : 'received')),
    ['received', 'timeout', 'timeout'],
  )
  assert.equal(await gate.offset(), input.length, 'who asks again has nothing left to send')
  assert.deepEqual(Buffer.from(await gate.take(signal)), input)
})

import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import type { Hex } from '../../src/core/units.ts'
import { armFailpoints } from '../../src/failpoint.ts'
import { Blobs } from '../../src/store/blobs.ts'
import { openHome } from '../../src/store/home.ts'
import { collect, SMALL, tempFolder } from './support.ts'

const signal = AbortSignal.timeout(60_000)
const options = { signal, maxBytes: 2 ** 20 }

async function openBlobs(t: TestContext, quotaBytes = 2 ** 30) {
  const home = await openHome(await tempFolder(t), SMALL)
  t.after(() => home.close())
  return { home, blobs: await Blobs.open(home, quotaBytes) }
}

function sha256(bytes: Uint8Array): Hex {
  return `0x${createHash('sha256').update(bytes).digest('hex')}`
}

test('bytes come back as they were, whole or in part, under their hash', async (t) => {
  const { blobs } = await openBlobs(t)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 6 }),
      fc.nat(12_000),
      fc.nat(12_000),
      fc.boolean(),
      async (parts, offset, length, verify) => {
        const whole = Buffer.concat(parts)
        const { hash, bytes } = await blobs.write(parts, options)
        assert.equal(hash, sha256(whole))
        assert.equal(bytes, whole.length)
        assert.equal(await blobs.size(hash), whole.length)
        assert.deepEqual(Buffer.concat(await collect(blobs.read(hash, { signal, verify }))), whole)
        const part = Buffer.concat(await collect(blobs.read(hash, { signal, offset, length, verify })))
        assert.deepEqual(part, whole.subarray(offset, offset + length))
      },
    ),
    { numRuns: 60 },
  )
})

test('what is too large, over the quota, or not what was agreed is refused and leaves nothing', async (t) => {
  const { home, blobs } = await openBlobs(t, 5000)
  const chunk = randomBytes(1000)
  await assert.rejects(blobs.write(Array(4).fill(chunk), { signal, maxBytes: 3999 }), { code: 'too_large' })
  await assert.rejects(blobs.write(Array(6).fill(chunk), options), { code: 'disk_full', message: /5000 bytes/ })
  await assert.rejects(blobs.write([chunk], { ...options, expect: sha256(Buffer.from('x')) }), { code: 'not_verified' })
  assert.equal(blobs.usedBytes, 0)
  assert.deepEqual(await readdir(home.paths.blobs), ['incoming'])
  assert.deepEqual(await readdir(join(home.paths.blobs, 'incoming')), [])
})

test('a source that stalls ends with the signal, one that fails ends with its error', async (t) => {
  const { home, blobs } = await openBlobs(t)
  const stalled = (async function* () {
    yield randomBytes(10)
    await new Promise(() => undefined)
  })()
  await assert.rejects(blobs.write(stalled, { ...options, signal: AbortSignal.timeout(50) }), { code: 'cancelled' })
  const broken = (async function* () {
    yield randomBytes(10)
    throw new Error('wire cut')
  })()
  await assert.rejects(blobs.write(broken, options), { message: 'wire cut' })
  assert.equal(blobs.usedBytes, 0)
  assert.deepEqual(await readdir(join(home.paths.blobs, 'incoming')), [])
})

test('a process that dies before the name is given leaves no blob and no litter', async (t) => {
  t.after(() => armFailpoints(''))
  const { home, blobs } = await openBlobs(t)
  armFailpoints('blob.before-name=throw')
  await assert.rejects(blobs.write([randomBytes(10)], options), { message: /failpoint/ })
  await writeFile(join(home.paths.blobs, 'incoming', '.tmp-blob-dead'), 'half')
  const again = await Blobs.open(home, 2 ** 30)
  assert.equal(again.usedBytes, 0)
  assert.deepEqual(await readdir(join(home.paths.blobs, 'incoming')), [])
})

test('the same bytes twice count once; writing again mends a rotten copy; reading can tell one', async (t) => {
  const { home, blobs } = await openBlobs(t)
  const bytes = randomBytes(1000)
  const { hash } = await blobs.write([bytes], options)
  await blobs.write([bytes], options)
  assert.equal(blobs.usedBytes, 1000)
  const rotten = Buffer.from(bytes)
  rotten.writeUInt8(rotten.readUInt8(500) ^ 1, 500)
  await writeFile(join(home.paths.blobs, hash.slice(2, 4), hash.slice(2)), rotten)
  await assert.rejects(collect(blobs.read(hash, { signal, verify: true })), { code: 'store_damaged' })
  await blobs.write([bytes], options)
  assert.deepEqual(Buffer.concat(await collect(blobs.read(hash, { signal, verify: true }))), bytes)
  assert.equal((await Blobs.open(home, 2 ** 30)).usedBytes, 1000)
})

test('a sweep removes what nobody needs; a hash that is none never becomes a path', async (t) => {
  const { blobs } = await openBlobs(t)
  const kept = await blobs.write([Buffer.from('kept')], options)
  const gone = await blobs.write([Buffer.from('gone!')], options)
  assert.equal(await blobs.sweep((hash) => hash === kept.hash), 5)
  assert.equal(await blobs.size(gone.hash), undefined)
  await assert.rejects(collect(blobs.read(gone.hash, { signal })), { code: 'not_found' })
  await assert.rejects(blobs.size('0x../../../../etc/passwd'), { code: 'bad_input' })
  await blobs.remove(kept.hash)
  await blobs.remove(kept.hash)
  assert.equal(blobs.usedBytes, 0)
})

/** A source that breaks after its last piece, as a cut connection does. */
async function* cutAfter(...pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield await Promise.resolve(piece)
  throw new Error('wire cut')
}

const incoming = ({ paths }: { paths: { blobs: string } }) => readdir(join(paths.blobs, 'incoming'))

test('what came of a transfer outlives its process, and is gone on with by its name', async (t) => {
  const { home, blobs } = await openBlobs(t)
  const bytes = randomBytes(3000)
  const first = await blobs.resume('a transfer', 3000, signal)
  await assert.rejects(first.append(cutAfter(bytes.subarray(0, 1000), bytes.subarray(1000, 1100)), signal))
  // The process is killed here: nobody drops or leaves anything.
  const next = await Blobs.open(home, 2 ** 30)
  assert.equal(next.usedBytes, 1100)
  assert.equal(await next.left('a transfer'), 1100)
  assert.equal(await next.left('another'), 0)
  const second = await next.resume('a transfer', 3000, signal)
  assert.deepEqual([second.bytes, second.keptBytes], [1100, 1100])
  await second.append([bytes.subarray(1100)], signal)
  assert.deepEqual(await second.finish(sha256(bytes)), { hash: sha256(bytes), bytes: 3000 })
  assert.equal(next.usedBytes, 3000)
  assert.deepEqual(Buffer.concat(await collect(next.read(sha256(bytes), { signal, verify: true }))), bytes)
  assert.deepEqual(await incoming(home), [])
  assert.equal((await next.resume('a transfer', 3000, signal)).bytes, 0)
})

test('a part that is left is found again; one that does not fit, or does not hash, is begun anew', async (t) => {
  const { home, blobs } = await openBlobs(t)
  const bytes = randomBytes(1000)
  const begun = async (maxBytes: number) => {
    const intake = await blobs.resume('name', maxBytes, signal)
    await assert.rejects(intake.append(cutAfter(bytes.subarray(intake.bytes, 600)), signal))
    return intake
  }
  await (await begun(1000)).leave()
  assert.equal((await incoming(home)).length, 1)
  const again = await blobs.resume('name', 1000, signal)
  assert.equal(again.keptBytes, 600)
  await again.append([randomBytes(400)], signal)
  await assert.rejects(again.finish(sha256(bytes)), { code: 'not_verified' })
  await again.drop()
  assert.equal(blobs.usedBytes, 0)
  await (await begun(1000)).leave()
  assert.equal((await blobs.resume('name', 599, signal)).bytes, 0)
  assert.equal(blobs.usedBytes, 0)
})

test('two who ask for one name at once do not write into one file, and under no name nothing stays', async (t) => {
  const { home, blobs } = await openBlobs(t)
  const [one, two] = [await blobs.resume('name', 10, signal), await blobs.resume('name', 10, signal)]
  await one.append([Buffer.from('one')], signal)
  await two.append([Buffer.from('two!')], signal)
  assert.equal((await one.finish()).bytes, 3)
  await two.leave()
  assert.deepEqual(await incoming(home), [])
  const anonymous = blobs.begin(10)
  await anonymous.append([Buffer.from('x')], signal)
  await anonymous.leave()
  assert.equal(blobs.usedBytes, 3)
  assert.deepEqual(await incoming(home), [])
})

test('parts that nobody goes on with are swept by age, those under way are not', async (t) => {
  const { home, blobs } = await openBlobs(t)
  const left = await blobs.resume('left', 10, signal)
  await left.append([Buffer.from('left')], signal)
  await left.leave()
  const busy = await blobs.resume('busy', 10, signal)
  await busy.append([Buffer.from('busy')], signal)
  assert.equal(await blobs.sweepParts(Date.now() - 60_000), 0)
  assert.equal(await blobs.sweepParts(Date.now() + 60_000), 4)
  assert.equal(blobs.usedBytes, 4)
  assert.equal((await incoming(home)).length, 1)
})

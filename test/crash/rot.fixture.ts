/**
 * Damages one copy after another of a good home folder, opens each, and says on stdout what came of it, a JSON line each.
 * A process of its own, because LevelDB may end its process on what it finds.
 */
import assert from 'node:assert/strict'
import { writeSync } from 'node:fs'
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { MecaError } from '../../src/core/errors.ts'
import { openTables } from '../../src/wiring/tables.ts'
import { closeWorld, collect, openWorld } from '../store/support.ts'
import type { World } from '../store/support.ts'
import { randomFrom } from '../support/random.ts'
import type { Outcome } from './rot.ts'

const [good = '', ...numbers] = process.argv.slice(2)
const [seed = 0, from = 0, count = 0] = numbers.map(Number)

/** Folders of a real home whose bytes carry hashes or passwords of their own. */
const NO_MONEY = /^(blocks|blobs|keys|sockets)/

const expected = await contents(good)
for (let number = from; number < count; number++) {
  const copy = `${good}-${number}`
  await cp(good, copy, { recursive: true })
  const { file, what } = await spoil(copy, number % 4 === 3 ? 'cut' : 'flip', randomFrom(seed + number))
  say({ number, file, what, end: 'opening' })
  say({ number, file, what, end: await endOf(copy, `seed ${seed}, number ${number}: ${what}`) })
  await rm(copy, { recursive: true, force: true })
}

function say(outcome: Outcome): void {
  writeSync(1, `${JSON.stringify(outcome)}\n`)
}

/** Opening changes files, so this reads a copy. */
async function contents(folder: string): Promise<unknown> {
  const copy = `${folder}-read`
  await cp(folder, copy, { recursive: true })
  const world = await openWorld(copy)
  const all = await recordsIn(world)
  await closeWorld(world)
  await rm(copy, { recursive: true })
  return all
}

/** Every record of money that a home can hold, a made one of the store's tests or a real node's. */
async function recordsIn({ store, vouchers }: World): Promise<unknown> {
  const { channels, rows, hostJobs, clientJobs, intents, payouts } = openTables(store)
  const tables = [vouchers, channels, rows, hostJobs, clientJobs, intents, payouts]
  const all = await Promise.all(tables.map((table) => collect<unknown>(table.entries())))
  return { sequence: store.sequence, all }
}

async function spoil(
  folder: string,
  damage: 'flip' | 'cut',
  random: () => number,
): Promise<{ file: string; what: string }> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(
    (f) =>
      f.isFile() && !f.name.startsWith('lock.') && f.name !== 'LOG' && !NO_MONEY.test(relative(folder, f.parentPath)),
  )
  const sizes = await Promise.all(files.map((f) => writtenBytes(join(f.parentPath, f.name))))
  // Half of the tries fall on files by their size, half on each file alike: the small ones matter as much.
  const byte = Math.floor(random() * sizes.reduce((a, b) => a + b, 0))
  const bySize = sizes.findIndex((_, i) => byte < sizes.slice(0, i + 1).reduce((a, b) => a + b, 0))
  const chosen = files[random() < 0.5 ? bySize : Math.floor(random() * files.length)]
  assert.ok(chosen !== undefined)
  const path = join(chosen.parentPath, chosen.name)
  const { size } = await stat(path)
  // One in five may fall on what was only reserved, as most of the tail and all of the ballast are.
  const offset = Math.floor(random() * (random() < 0.2 ? size : await writtenBytes(path)))
  if (damage === 'cut') await truncate(path, offset)
  else if (size > 0) await flip(path, offset, Math.floor(random() * 8))
  return { file: chosen.name.replace(/[0-9]+/, 'N'), what: `${damage} ${chosen.name} at ${offset} of ${size}` }
}

/** Up to the last byte that is not zero. */
async function writtenBytes(path: string): Promise<number> {
  const bytes = await readFile(path)
  return bytes.findLastIndex((byte) => byte !== 0) + 1
}

async function flip(path: string, offset: number, bit: number): Promise<void> {
  const bytes = await readFile(path)
  bytes.writeUInt8(bytes.readUInt8(offset) ^ (1 << bit), offset)
  await writeFile(path, bytes)
}

/** Refused with a typed error; otherwise everything must be as it was. */
async function endOf(folder: string, what: string): Promise<Outcome['end']> {
  let world
  try {
    world = await openWorld(folder)
  } catch (error) {
    assert.ok(error instanceof MecaError, `${what}: ${String(error)}`)
    assert.ok(['store_damaged', 'home_unreadable'].includes(error.code), `${what}: ${error.code}: ${error.message}`)
    return 'alarm'
  }
  try {
    assert.deepEqual(await recordsIn(world), expected, `${what}: the start went well with other records`)
    return 'harmless'
  } finally {
    await closeWorld(world)
  }
}

/** Short versions of test/crash; each file there takes a count for the long ones. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fillDisk, startOnFullDisk } from '../crash/disk.ts'
import { killAt, killLoop, POINTS } from '../crash/kill.ts'
import { noMounts } from '../crash/mounts.ts'
import { lostUnsynced, powerLoop } from '../crash/power.ts'
import { rotLoop } from '../crash/rot.ts'

const skip = await noMounts()

test('G3 kill -9 at random moments: what was acknowledged is there, at most one payment more for each caller', async () => {
  const { promises } = await killLoop(5)
  assert.ok(promises > 100, `only ${promises} payments were made; that tests nothing`)
})

for (const point of POINTS) {
  test(`G4 kill -9 at the failpoint ${point}`, async () => {
    const early = await killAt(point, 1)
    assert.equal(
      early.some((line) => line.startsWith('failed')),
      false,
    )
    if (point.startsWith('store.') && point !== 'store.verified') {
      const late = await killAt(point, 20)
      assert.ok(late.length > 10, `${late.length} lines were said before the 20th passage`)
    }
  })
}

test('G8 a flipped bit or a cut anywhere in the state is an alarm or harmless, never other records', async () => {
  const { tried, alarms, seed } = await rotLoop(80)
  assert.ok(alarms > tried / 10, `only ${alarms} of ${tried} were noticed (seed ${seed})`)
})

test('G5 a power cut takes back nothing that was acknowledged', { skip }, async () => {
  const { promises } = await powerLoop(3)
  assert.ok(promises > 100, `only ${promises} payments were made; that tests nothing`)
})

test('G5 the same power cut does break what LevelDB promises without syncing', { skip }, async () => {
  assert.ok((await lostUnsynced()) > 0)
})

for (const sizeMib of [2, 5, 9.5]) {
  test(
    `G7 a disk of ${sizeMib} MiB fills up: said so, nothing promised is lost once there is room`,
    { skip },
    async () => {
      const { promises, failure, reopened } = await fillDisk(sizeMib)
      assert.ok(promises > 100)
      assert.equal(failure.details?.diskFull, true, failure.message)
      assert.match(failure.cure ?? '', /free some space/)
      assert.ok(reopened === undefined || reopened.code === 'disk_full', `${reopened?.code}: ${reopened?.message}`)
    },
  )
}

test('G7 a node starts on a disk that others filled, by giving up its ballast', { skip }, async () => {
  assert.deepEqual(await startOnFullDisk(), { ballastBefore: true, ballastAfter: false })
})

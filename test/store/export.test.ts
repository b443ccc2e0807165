import assert from 'node:assert/strict'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Hex } from '../../src/core/units.ts'
import type { VoucherLine } from '../../src/core/voucher-line.ts'
import { readExport, VoucherExport, writeExport } from '../../src/store/export.ts'
import { tempFolder } from './support.ts'

const hex = (digit: string, bytes: number): Hex => `0x${digit.repeat(2 * bytes)}`

function voucher(channel: string, task: string, amount: bigint): VoucherLine {
  const address = hex('a', 20)
  return {
    version: 1,
    chainId: 31337,
    channels: address,
    channelId: hex(channel, 32),
    terms: {
      client: address,
      signer: address,
      host: address,
      token: address,
      closeDelaySeconds: 3600,
      salt: hex('5', 32),
    },
    taskId: hex(task, 32),
    jobs: 1,
    hostAmount: amount,
    developerAmount: 2n ** 90n,
    signature: hex('1', 65),
  }
}

test('what is exported comes back, the highest of each channel and task', async (t) => {
  const path = join(await tempFolder(t), 'vouchers.jsonl')
  await writeExport(path, [
    voucher('1', '1', 5n),
    voucher('1', '2', 6n),
    voucher('1', '1', 9n),
    voucher('1', '1', 7n),
    voucher('2', '1', 1n),
  ])
  assert.deepEqual(await readExport(path), [voucher('1', '1', 9n), voucher('1', '2', 6n), voucher('2', '1', 1n)])
})

test('appended vouchers are in the file in order once append resolves, also many at once, and survive opening again', async (t) => {
  const path = join(await tempFolder(t), 'vouchers.jsonl')
  const log = await VoucherExport.open(path)
  await log.append([voucher('1', '1', 1n)])
  assert.equal((await readExport(path))[0]?.hostAmount, 1n)
  await Promise.all(Array.from({ length: 500 }, (_, i) => log.append([voucher('1', '1', BigInt(i + 2))])))
  assert.equal((await readExport(path))[0]?.hostAmount, 501n)
  assert.equal((await readFile(path, 'utf8')).trim().split('\n').length, 501)
  await log.close()

  const again = await VoucherExport.open(path)
  assert.equal((await readFile(path, 'utf8')).trim().split('\n').length, 1)
  await again.append([voucher('2', '1', 3n)])
  await again.close()
  assert.deepEqual(
    (await readExport(path)).map((v) => v.hostAmount),
    [501n, 3n],
  )
})

test('a torn last line is passed over; any other bad line is refused with its number', async (t) => {
  const path = join(await tempFolder(t), 'vouchers.jsonl')
  await writeExport(path, [voucher('1', '1', 5n)])
  await appendFile(path, '{"version":1,"chai')
  assert.equal((await readExport(path)).length, 1)
  await appendFile(path, '\n')
  await assert.rejects(readExport(path), { code: 'bad_input', message: /^Line 2 / })
  await writeFile(path, 'x'.repeat(100_000))
  await assert.rejects(readExport(path), { code: 'bad_input', message: /longer than/ })
  await assert.rejects(readExport(`${path}.absent`), { code: 'not_found' })
})

test('a disk that fails is told to whoever appended, and the next append is tried again', async (t) => {
  const path = join(await tempFolder(t), 'vouchers.jsonl')
  const log = await VoucherExport.open(path)
  await log.close()
  await assert.rejects(log.append([voucher('1', '1', 1n)]))
  await assert.rejects(log.append([voucher('1', '1', 1n)]))
})

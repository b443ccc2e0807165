/** Money on the command line: files of vouchers, earnings as tables and CSV, sums and waits. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { csv } from '../../src/cli/csv.ts'
import { CHANNEL, CID } from '../support/fake-api.ts'
import { makeBench } from './support.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'meca-money-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** RFC 4180 read back. */
function parse(text: string): string[][] {
  const rows: string[][] = []
  let [row, cell, quoted]: [string[], string, boolean] = [[], '', false]
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? ''
    if (quoted && c === '"' && text[i + 1] === '"') [cell, i] = [`${cell}"`, i + 1]
    else if (c === '"') quoted = !quoted
    else if (quoted) cell += c
    else if (c === ',') [row, cell] = [[...row, cell], '']
    else if (c === '\r' && text[i + 1] === '\n') {
      rows.push([...row, cell])
      ;[row, cell, i] = [[], '', i + 1]
    } else cell += c
  }
  return rows
}

test('a CSV table reads back cell by cell, and no cell begins a formula', () => {
  const cell = fc.oneof(fc.string(), fc.stringMatching(/^[=+\-@\t\r\n"',]{1,3}.{0,3}$/s))
  const table = fc
    .integer({ min: 1, max: 4 })
    .chain((width) => fc.array(fc.array(cell, { minLength: width, maxLength: width }), { maxLength: 5 }))
  fc.assert(
    fc.property(table, (rows) => {
      const back = parse(csv(['head'], rows)).slice(1)
      assert.deepEqual(
        back.map((row) => row.map((text) => text.replace(/^'(?=[=+\-@\t\r\n＝＋－＠])/, ''))),
        rows.map((row) => row.map((text) => text.replace(/^'(?=[=+\-@\t\r\n＝＋－＠])/, ''))),
      )
      for (const text of back.flat()) if (/^[=+\-@\t\r\n]/.test(text)) assert.match(text, /^-[0-9.]+$/)
    }),
  )
  assert.equal(csv(['a'], [['=1+1'], ['-5.5'], ['-5+5'], ['x,"y"']]), `a\r\n'=1+1\r\n-5.5\r\n'-5+5\r\n"x,""y"""\r\n`)
})

test('earnings as CSV: each amount in the smallest unit and in whole coins; the verdict is no part of the file', async (t) => {
  const { exit, text, stderr } = await makeBench(t).run(['earnings', '--by', 'task', '--csv'])
  assert.equal(exit, 0)
  const [head = [], row = [], ...more] = parse(text)
  assert.deepEqual(more, [])
  const of = (name: string) => row[head.indexOf(name)]
  assert.deepEqual([of('as'), of('task'), of('symbol'), of('run')], ['host', CID, 'ETH', '3'])
  assert.deepEqual([of('claimed_units'), of('claimed')], ['20000', '0.00000000000002'])
  assert.deepEqual([of('at_risk_units'), of('at_risk')], ['4000', '0.000000000000004'])
  assert.match(stderr, /adds up to the chain: yes/)
})

test('earnings that do not add up end with 9, and say what is off', async (t) => {
  const bench = makeBench(t)
  const { earnings } = bench.api.money
  bench.api.money.earnings = async (options, signal) => {
    const report = await earnings(options, signal)
    const [check] = report.checks
    assert.ok(check)
    return { ...report, ok: false, difference: '7', checks: [{ ...check, ledger: '8', difference: '7', ok: false }] }
  }
  const { exit, text } = await bench.run(['earnings'])
  assert.equal(exit, 9)
  assert.match(
    text,
    /WHAT +HERE +CHAIN +DIFFERENCE\n.*0\.000000000000000007 ETH\nadds up to the chain: NO, 7 difference\n$/,
  )
  assert.equal((await bench.run(['host', 'earnings', '--json'])).exit, 9)
})

for (const [flags, message] of [
  [['--by', 'hour'], /--by takes/],
  [['--since', '2026-02-30'], /no day/],
  [['--since', 'yesterday'], /--since must be/],
] as const) {
  test(`earnings ${flags.join(' ')} is refused`, async (t) => {
    const { exit, stderr } = await makeBench(t).run(['earnings', ...flags])
    assert.equal(exit, 2)
    assert.match(stderr, message)
  })
}

test('since a day means since its midnight in UTC; since a time means so long ago', async (t) => {
  const bench = makeBench(t)
  await bench.run(['earnings', '--since', '2026-11-01'])
  const asked = () => (bench.calls.at(-1)?.args[0] as { since: number }).since
  assert.equal(asked(), Date.UTC(2026, 10, 1))
  for (const [text, days] of [
    ['24h', 1],
    ['30d', 30],
  ] as const) {
    const before = Date.now()
    assert.equal((await bench.run(['earnings', '--since', text])).exit, 0)
    const ago = asked() + days * 86_400_000
    assert.ok(ago >= before && ago <= Date.now())
  }
  await bench.run(['earnings', '--since', '999999999d'])
  assert.equal(asked(), 0)
})

test('vouchers are exported into a new file, and never over one that is there', async (t) => {
  const bench = makeBench(t)
  const file = join(folderOf(t), 'vouchers.jsonl')
  const { exit, json } = await bench.run(['claim', '--export', file, '--json'])
  assert.deepEqual([exit, json()], [0, { file, vouchers: 1 }])
  assert.equal(readFileSync(file, 'utf8'), '{"version":1}\n')
  const again = await bench.run(['claim', '--export', file])
  assert.equal(again.exit, 2)
  assert.match(again.stderr, /cannot be made/)
  bench.api.money.vouchers = async () => ({ lines: [] })
  assert.deepEqual((await bench.run(['claim', '--export', `${file}2`, '--json'])).json(), { file: null, vouchers: 0 })
})

test('an import sends the lines in parts, passes a cut last line over, claims, and ends with 2 for what was refused', async (t) => {
  const bench = makeBench(t)
  const file = join(folderOf(t), 'vouchers.jsonl')
  writeFileSync(file, `${Array.from({ length: 1200 }, (_, i) => `line ${i}`).join('\n')}\nhalf a li`)
  const { exit, json } = await bench.run(['claim', '--import', file, '--json'])
  const parts = bench.calls.filter(({ name }) => name === 'restore').map(({ args }) => (args[0] as string[]).length)
  assert.equal(
    parts.reduce((a, b) => a + b, 0),
    1200,
  )
  assert.ok(parts.every((lines) => lines <= 500))
  assert.equal(bench.calls.at(-1)?.name, 'claim')
  const report = json() as { adopted: number; refused: number; findings: { line: number; code: string }[] }
  assert.deepEqual([report.adopted, report.refused], [1200 - parts.length, parts.length])
  assert.deepEqual(report.findings[0], { line: 1, outcome: 'refused', code: 'bad_input', reason: 'no' })
  assert.equal(exit, 2)
  assert.equal((await bench.run(['claim', '--import', `${file}.none`])).exit, 3)
  assert.equal((await bench.run(['claim', '--import', folderOf(t)])).exit, 2)
  assert.equal((await bench.run(['claim', '--import', file, '--channel', CHANNEL])).exit, 2)
})

test('a last line that lacks only its end is worth its money; one that is cut is told, and so is an empty file', async (t) => {
  const bench = makeBench(t)
  const file = join(folderOf(t), 'vouchers.jsonl')
  for (const [text, sent, told] of [
    ['{"n":1}\n{"n":2}', ['{"n":1}', '{"n":2}'], /^$/],
    ['{"n":1}\n{"n":', ['{"n":1}'], /^line 2 is cut off/m],
    ['', undefined, /^there is no voucher in/m],
  ] as const) {
    writeFileSync(file, text)
    bench.calls.length = 0
    const { stderr } = await bench.run(['claim', '--import', file])
    assert.deepEqual(bench.calls.find(({ name }) => name === 'restore')?.args[0], sent)
    assert.match(stderr, told)
  }
})

test('money is not locked for an address that is no host without asking; nobody to ask for a quote has its reason', async (t) => {
  const bench = makeBench(t)
  const stranger = `0x${'5'.repeat(40)}`
  const asked = await bench.run(['channel', 'open', stranger, '0.01', '--no-input'])
  assert.deepEqual([asked.exit, bench.calls.some(({ name }) => name === 'open')], [10, false])
  assert.match(asked.stderr, /No host 0x5+ is registered or heard/)
  assert.equal((await bench.run(['channel', 'open', stranger, '0.01', '--yes'])).exit, 0)
  const { quote } = bench.api.client
  bench.api.client.quote = async (...args) => ({ ...(await quote(...args)), hosts: [], refusals: [] })
  const nobody = await bench.run(['quote', CID, '--host', stranger])
  assert.equal(nobody.exit, 4)
  assert.match(nobody.stderr, /the host 0x5+ offers nothing just now/)
})

test('a close that waits asks again until the channel is closed', async (t) => {
  const bench = makeBench(t)
  const { close } = bench.api.money
  let asked = 0
  bench.api.money.close = async (id, signal) => {
    const channel = await close(id, signal)
    return { ...channel, closesAt: Date.now(), state: ++asked < 2 ? 'closing' : 'closed' }
  }
  const { exit, json, stderr } = await bench.run(['channel', 'close', CHANNEL, '--wait', '--json'])
  assert.deepEqual([exit, (json() as { state: string }).state, asked], [0, 'closed', 2])
  assert.match(stderr, /waiting until/)
})

test('channels come to sums for each side and currency', async (t) => {
  const { exit, json } = await makeBench(t).run(['channel', 'list', '--sums', '--json'])
  assert.equal(exit, 0)
  assert.deepEqual(json(), [
    {
      side: 'client',
      token: `0x${'00'.repeat(20)}`,
      channels: 1,
      deposit: '1000000',
      locked: '1000000',
      billed: '9000',
      claimed: '0',
      refundable: '991000',
    },
  ])
})

test('a payout address that is none is refused before anything is asked', async (t) => {
  const bench = makeBench(t)
  assert.equal((await bench.run(['host', 'payout', '0x12'])).exit, 2)
  assert.equal((await bench.run(['host', 'start', '--payout', 'me'])).exit, 2)
  assert.deepEqual(bench.calls, [])
})

test('the price of a job is told by the settings where no host runs, and refused where there is no tariff', async (t) => {
  const bench = makeBench(t)
  const tariff = {
    token: `0x${'00'.repeat(20)}`,
    perJob: '5',
    perCpuSecond: '10',
    perGibSecond: '0',
    perGpuSecond: '7',
  }
  const more = { env: { MECA_HOST_TARIFFS: JSON.stringify([tariff]) } }
  const { exit, json, stderr } = await bench.run(['host', 'price', '--cpus', '2', '--gpus', '1', '--json'], more)
  assert.equal(exit, 0, stderr)
  assert.deepEqual(json(), [{ hostAmount: String(5 + 60 * (2 * 10 + 7)), token: tariff.token }])
  assert.match((await bench.run(['host', 'price'], more)).text, /^0\.000000000000000605 ETH\n$/)
  assert.equal((await bench.run(['host', 'price', '--cpus', 'many'], more)).exit, 2)
  const none = await bench.run(['host', 'price'])
  assert.equal(none.exit, 2)
  assert.match(none.stderr, /host\.tariffs is empty/)
})

/** What people read: amounts, tables, progress; and that a stranger's words cannot steer the terminal. */
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { money, readAmount } from '../../src/cli/amounts.ts'
import { makeBars } from '../../src/cli/bars.ts'
import { stateOf } from '../../src/cli/job.ts'
import { lineOf, makeMeter } from '../../src/cli/progress.ts'
import { NATIVE } from '../../src/core/units.ts'
import { duration, facts, size, table } from '../../src/cli/render.ts'
import { jobSummary } from '../../src/http/client-schemas.ts'
import type { JobSummary } from '../../src/role/api-client.ts'
import type { Progress } from '../../src/role/api-common.ts'
import { CHANNEL } from '../support/fake-api.ts'
import { makeBench } from './support.ts'

const usdc = { address: `0x${'aa'.repeat(20)}` as const, symbol: 'USDC', decimals: 6 }
const read = (text: string) => readAmount(text, '--fee', async () => usdc)

test('an amount without a point is in the smallest unit, with a point or a symbol in tokens', async () => {
  assert.equal(await read('1000'), 1000n)
  assert.equal(await read('1.5'), 1_500_000n)
  assert.equal(await read('2USDC'), 2_000_000n)
  assert.equal(await read('2 usdc'), 2_000_000n)
  const eth = { address: NATIVE, symbol: 'ETH', decimals: 18 }
  assert.equal(await readAmount('5gwei', '--fee', async () => eth), 5_000_000_000n)
  assert.equal(await readAmount('7wei', '--fee', async () => eth), 7n)
})

for (const text of ['', '-1', '1e18', '0x10', '1,5', '.', '1.', '1.0000001', '1ETH', '5gwei', '7wei', ' 1 2', '١']) {
  test(`${JSON.stringify(text)} is no amount`, () => assert.rejects(read(text), { code: 'bad_input' }))
}

test('an amount that is shown reads back as itself', () =>
  fc.assert(
    fc.asyncProperty(fc.bigInt(0n, 2n ** 96n - 1n), async (amount) => {
      const [number, symbol] = money(amount.toString(), usdc).split(' ')
      assert.equal(await read(`${number}${symbol}`), amount)
    }),
  ))

test('a token that nobody named keeps its address and its smallest unit', () => {
  assert.equal(money('5', '0xabc', [usdc]), '5 of 0xabc')
  assert.equal(money('5', usdc.address, [usdc]), '0.000005 USDC')
})

test('columns stand under their heads, and a cell cannot break out of its line', () => {
  assert.equal(
    table(
      ['A', 'LONG'],
      [
        ['one', 'x'],
        ['two three', 'y'],
      ],
    ),
    'A          LONG\none        x\ntwo three  y',
  )
  assert.equal(table(['A'], [['evil\x1b[2J\nline']]), 'A\nevil\\u{1b}[2J line')
})

test('a job under way shows its phase, or the one that was heard last and when', () => {
  const [since, now] = [1_700_000_000_000, 1_700_000_090_000]
  assert.equal(stateOf({ state: 'answered' }, now), 'answered')
  assert.equal(stateOf({ state: 'running', underWay: { since, isFollowed: true } }, now), 'running')
  assert.equal(
    stateOf({ state: 'fetching', underWay: { since, isFollowed: false } }, now),
    'fetching, heard 1 min 30 s ago',
  )
})

test('a job that nobody ever followed crosses HTTP as what it is', () => {
  const price = { quoted: '1', host: '0', developer: '0', token: NATIVE }
  const known = { job: 'j-1', task: `b${'a'.repeat(58)}`, name: 'words', host: null, price, createdAt: 1 }
  const job: JobSummary = { ...known, state: 'queued', underWay: { since: 1, isFollowed: false } }
  assert.deepEqual(jobSummary.parse(job), job)
})

test('facts leave out what is not known', () => {
  assert.equal(
    facts([
      ['a', '1'],
      ['bcd', undefined],
      ['ef', 'x\ny'],
    ]),
    'a   1\nef  x\n    y',
  )
})

test('times and sizes read as people say them', () => {
  assert.deepEqual([0, 999, 1500, 61_000, 7_200_000].map(duration), ['0 ms', '999 ms', '1.5 s', '1 min 1 s', '2.0 h'])
  assert.deepEqual([0, 1023, 1536, 2 ** 30].map(size), ['0 B', '1023 B', '1.5 KiB', '1.0 GiB'])
})

test("a task's log line cannot steer the terminal", () => {
  assert.equal(lineOf({ kind: 'log', line: { stream: 'stderr', text: 'a\x1b]0;b\x07' } }), 'err | a\\u{1b}]0;b\\u{7}')
})

test('bytes are told at each quarter where there is no terminal', () => {
  const stderr = new PassThrough()
  const meter = makeMeter({ stderr }, 'auto')
  for (let done = 0; done <= 1000; done++)
    meter.onProgress({ kind: 'bytes', step: 'adding', doneBytes: done, totalBytes: 1000 })
  meter.onProgress({ kind: 'log', line: { stream: 'stdout', text: '  ' } })
  meter.end()
  const lines = String(stderr.read()).trim().split('\n')
  assert.deepEqual(
    lines,
    ['0 B', '250 B', '500 B', '750 B', '1000 B'].map((done) => `adding: ${done} of 1000 B`),
  )
})

/** A terminal of the few codes that the bars use: what a person would see in the end. */
function screenOf(written: string): string[] {
  const lines: string[] = ['']
  let row = 0
  const [first = '', ...rest] = written.split('\u001b[')
  const codes = ['0A' + first, ...rest]
  for (const code of codes) {
    const [, count = '', letter, text = ''] = /^(\d*)([AJ])([^]*)$/.exec(code) ?? []
    if (letter === 'A') row -= Number(count)
    else lines.splice(row, Infinity, '')
    text.split('\n').forEach((part, i) => {
      if (i > 0) lines[++row] ??= ''
      if (part !== '') lines[row] = part
    })
  }
  return lines
}

test('bars draw over themselves, logs scroll above them, and nothing is left of them', () => {
  let now = 0
  const stderr = Object.assign(new PassThrough(), { columns: 80 })
  const bars = makeBars(stderr, () => now)
  const written = () => (seen += String(stderr.read() ?? ''))
  let seen = ''
  const tell = (progress: Progress) => bars.onProgress(progress)
  tell({ kind: 'bytes', step: 'layer 1', doneBytes: 50, totalBytes: 100 })
  tell({ kind: 'bytes', step: 'layer 2', doneBytes: 0, totalBytes: 100 })
  now = 1000
  tell({ kind: 'log', line: { stream: 'stdout', text: 'first words' } })
  tell({ kind: 'bytes', step: 'layer 1', doneBytes: 100, totalBytes: 100 })
  tell({ kind: 'log', line: { stream: 'stdout', text: 'second words' } })
  assert.deepEqual(screenOf(written()), [
    'out | first words',
    'out | second words',
    `layer 1 [${'='.repeat(24)}] 100 B of 100 B 100 B/s`,
    `layer 2 [${' '.repeat(24)}] 0 B of 100 B 0 B/s`,
    '',
  ])
  bars.end()
  assert.deepEqual(screenOf(written()), ['out | first words', 'out | second words', ''])
})

test('a phase takes the place of the phases before it, and a long line is cut', () => {
  const stderr = Object.assign(new PassThrough(), { columns: 20 })
  const bars = makeBars(stderr, () => 0)
  bars.onProgress({ kind: 'phase', phase: 'fetching', at: 0, doneBytes: 1, totalBytes: 10 })
  bars.onProgress({ kind: 'phase', phase: 'running', at: 1 })
  bars.onProgress({ kind: 'step', step: 'a step with a long name', detail: 'and a detail' })
  bars.onProgress({ kind: 'log', line: { stream: 'stdout', text: 'words' } })
  assert.deepEqual(screenOf(String(stderr.read())), ['out | words', 'running 0 ms', 'a step with a long…', ''])
  bars.end()
})

const closed = { state: 'closed' as const, deposit: '1000000', claimed: '9000', refundable: '0' }

test('a closed channel says what came back, an open one what may', async (t) => {
  const bench = makeBench(t)
  const [channel] = await bench.api.money.channels(new AbortController().signal)
  assert.ok(channel !== undefined)
  bench.api.money.close = async () => ({ ...channel, ...closed })
  assert.match((await bench.run(['channel', 'close', CHANNEL])).text, /came back +0\.000000000000991 ETH/)
  assert.match(
    (await bench.run(['channel', 'list'])).text,
    /REFUNDABLE\n.* 0\.000000000000991 ETH\nALL .* 1 channel .* 0\.000000000000991 ETH\n$/,
  )
})

test('fees have their symbol, and a host knows itself in the list of hosts', async (t) => {
  const bench = makeBench(t)
  assert.match((await bench.run(['task', 'list'])).text, /0\.000000000000001 ETH/)
  const [host] = await bench.api.client.hosts()
  assert.ok(host !== undefined)
  const { address } = await bench.api.info()
  bench.api.client.hosts = async () => [host, { ...host, host: address, heardMsAgo: null }]
  const lines = (await bench.run(['hosts', 'list'])).text.trim().split('\n')
  assert.match(lines.at(-1) ?? '', new RegExp(`^${address} +- +- +- +- +- +this host +yes$`))
})

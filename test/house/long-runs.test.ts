/** The options of the long runs of docs/money.md: one that would try nothing must not look like one that found nothing. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from '../support/run-options.ts'

const DEFAULTS = { count: 20, seed: 7 }

test('options of a long run: each has its default, numbers are whole, a seed may be 0', () => {
  assert.deepEqual(parse(DEFAULTS, ['only'], []), DEFAULTS)
  assert.deepEqual(parse(DEFAULTS, ['only'], ['--count', '3', '--seed=0', '--only', 'a lie']), {
    count: 3,
    seed: 0,
    only: 'a lie',
  })
  for (const count of ['0', '-1', 'x', '', '1e3', '1.5', '9999999999'])
    assert.throws(() => parse(DEFAULTS, [], [`--count=${count}`]), /--count takes a whole number from 1/)
  assert.throws(() => parse(DEFAULTS, [], ['--seed', 'x']), /--seed takes a whole number from 0/)
  for (const args of [['--rounds', '1'], ['--count'], ['20']]) assert.throws(() => parse(DEFAULTS, [], args))
})

for (const [file, ...args] of [
  ['crash/power-market.ts', '--count', 'x'],
  ['chaos/run.ts', '--count', '0'],
] as const) {
  test(`${file} begins nothing with a count that is none`, async () => {
    const { code, said } = await run(file, args)
    assert.deepEqual([code, said.includes('--count takes a whole number')], [2, true], said)
  })
}

function run(
  file: string,
  args: readonly string[],
): Promise<{ code: number | string | null | undefined; said: string }> {
  const path = join(import.meta.dirname, '..', file)
  return new Promise((resolve) =>
    execFile(process.execPath, [path, ...args], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, said: stdout + stderr }),
    ),
  )
}

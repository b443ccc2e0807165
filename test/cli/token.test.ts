/** Currencies on the command line: what a symbol is checked against, and what is refused before anything is done. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID, HOST } from '../support/fake-api.ts'
import { makeBench } from './support.ts'

const refused: [string, string[], RegExp][] = [
  [
    'a price in another currency than the task’s',
    ['run', CID, '--data', 'x', '--max-price', '1MUSD'],
    /--max-price is in MUSD, needed is an amount in ETH/,
  ],
  ['the same of a quote', ['quote', CID, '--max-price', '0.5 USDC'], /--max-price is in USDC/],
  [
    'a fee in another currency than the market’s',
    ['task', 'publish', '.', '--fee', '0.5TOK'],
    /--fee is in TOK, needed is an amount in ETH/,
  ],
  [
    'a fee in a token that is not known',
    ['task', 'publish', '.', '--fee', '1', '--token', 'TOK'],
    /--token cannot be TOK, known here are ETH/,
  ],
  [
    'a fee with a point in a token without known decimals',
    ['task', 'publish', '.', '--fee', '0.5', '--token', `0x${'ab'.repeat(20)}`],
    /decimals of the token 0x(ab){20} are not known/,
  ],
  [
    'a deposit in another currency than the one named',
    ['channel', 'open', HOST, '1MUSD', '--token', 'ETH'],
    /the deposit is in MUSD/,
  ],
  ['a withdrawal of a token that is not known', ['withdraw', '--token', 'TOK'], /--token cannot be TOK/],
  ...['ETH', 'wei:3', 'T K', 'TOK:19', 'TOK:', ':6', 'TOK:6:6', '\u001b[2J', 'x'.repeat(11)].map(
    (token): [string, string[], RegExp] => [
      `a market in ${JSON.stringify(token)}`,
      ['devnet', '--token', token],
      /--token cannot be/,
    ],
  ),
]

for (const [what, argv, message] of refused)
  test(`${what} is wrong usage, and nothing is asked of the node`, async (t) => {
    const bench = makeBench(t)
    const { exit, stderr } = await bench.run(argv)
    assert.equal(exit, 2, stderr)
    assert.match(stderr, message)
    assert.ok(!stderr.includes('\u001b[2J'))
    const done = bench.calls.filter(({ name }) => ['run', 'quote', 'publish', 'open', 'withdraw'].includes(name))
    assert.deepEqual(done, [])
  })

test('the task’s own symbol and a plain number are taken', async (t) => {
  const bench = makeBench(t)
  for (const [text, amount] of [
    ['0.5ETH', 500_000_000_000_000_000n],
    ['20gwei', 20_000_000_000n],
    ['20000', 20_000n],
  ] as const) {
    assert.equal((await bench.run(['run', CID, '--data', 'x', '--max-price', text])).exit, 0)
    const [, , options] = bench.calls.filter(({ name }) => name === 'run').at(-1)?.args ?? []
    assert.equal((options as { maxPrice?: bigint }).maxPrice, amount)
  }
})

/** What the steps cost: held to the goals, to the committed figures, and to the tables of contracts/README.md. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { GAS_FILE, README_FILE, measure, render, withTables } from './gas.ts'
import type { GasTable } from './gas.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const committed = JSON.parse(readFileSync(GAS_FILE, 'utf8')) as GasTable

/** Signatures and hashes have more or fewer zero bytes, which cost less in calldata: a hundred gas either way. */
const NOISE = 0.005

const GOALS: readonly (readonly [step: string, gas: number])[] = [
  ['open', 75_000],
  ['claim: later, one row', 55_000],
  ['claim: later, ten tasks in a channel, per row', 25_000],
  ['claim: later, ten channels, per row', 25_000],
  ['1,000 jobs: open, claim with withdrawals, close, finish', 250_000],
  ['1,000 jobs: open, then all the rest in one', 200_000],
]

let measured: GasTable
before(async () => {
  if (skip === false) measured = await measure()
})

for (const [step, goal] of GOALS) {
  test(`${step}: at most ${goal} gas in native currency`, { skip }, () => {
    const gas = measured.native[step] ?? Infinity
    assert.ok(gas <= goal, `${gas} gas`)
  })
}

for (const [step, goal] of GOALS.filter(([step]) => step.startsWith('claim: later'))) {
  test(`${step}: at most ${goal} gas in a token`, { skip }, () => {
    const gas = measured.token[step] ?? Infinity
    assert.ok(gas <= goal, `${gas} gas`)
  })
}

test('every step costs what contracts/gas.json says', { skip }, () => {
  for (const kind of ['native', 'token'] as const) {
    assert.deepEqual(Object.keys(measured[kind]), Object.keys(committed[kind]))
    for (const [step, gas] of Object.entries(committed[kind])) {
      const now = measured[kind][step] ?? Infinity
      const cure = 'if that is meant, run test/chain/gas.ts'
      assert.ok(Math.abs(now - gas) <= gas * NOISE, `${kind}, ${step}: ${gas} before, ${now} now; ${cure}`)
    }
  }
})

test('the tables of contracts/README.md are those figures', () => {
  const readme = readFileSync(README_FILE, 'utf8')
  assert.equal(withTables(readme, render(committed)), readme)
})

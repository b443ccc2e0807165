/**
 * The contracts' own tests, run by forge: units, attacks P1 to P31 and invariants I1 to I24 by their names. Also: the
 * committed ABI and bytecode are what forge compiled and tested; without forge, what a fresh compile gives.
 * FOUNDRY_FUZZ_RUNS, FOUNDRY_INVARIANT_RUNS and FOUNDRY_INVARIANT_DEPTH make it run longer, or `npm run contracts --
 * test --deep`.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { findForge, generate } from '../../scripts/contracts.ts'
import * as abi from '../../src/chain/abi.ts'

const ROOT = join(import.meta.dirname, '../..')
const forge = findForge()
const skip = forge === undefined ? `npm has no forge for ${process.platform} ${process.arch}` : false

type Steps = Record<string, { calls: number; reverts: number; discards: number }>
type Result = { status: string; reason: string | null; kind: { Invariant?: { calls: number; metrics: Steps } } }
type Results = Record<string, { test_results: Record<string, Result> }>

/** Who acts in the campaign: the first word of each step of support/Handler.sol. */
const ACTORS = ['client', 'host', 'developer', 'stranger', 'token', 'time']
/** Times that each step must have had something to do. The rarest, a refund that its token once did not move, has 20 as a
 * rule; the campaign is another one each time, so nothing near that is asked for. */
const LEAST_EFFECTIVE = 1

test('forge: units, attacks, invariants', { skip }, async (t) => {
  const results = runForge()
  let passed = 0
  for (const [suite, { test_results }] of Object.entries(results)) {
    for (const [name, { status, reason, kind }] of Object.entries(test_results)) {
      const title = `${suite.split(':')[1] ?? suite}: ${name.replace(/\(.*/, '').replaceAll('_', ' ')}`
      await t.test(title, () => assert.equal(status, 'Success', reason ?? 'no reason given'))
      if (kind.Invariant !== undefined)
        await t.test('everybody acts in the campaign', (t) => tellSteps(t, kind.Invariant))
      passed++
    }
  }
  assert.ok(passed >= 130, `forge ran ${passed} tests, and there are more than 130`)
})

test('the committed ABI and bytecode are what a fresh compile gives, and what forge tested', async () => {
  if (forge === undefined) {
    assert.equal(await generate(), readFileSync(join(ROOT, 'src/chain/abi.ts'), 'utf8'))
    return
  }
  const committed: Record<string, readonly [readonly Entry[], string]> = {
    Tasks: [abi.tasksAbi, abi.tasksBytecode],
    Hosts: [abi.hostsAbi, abi.hostsBytecode],
    Channels: [abi.channelsAbi, abi.channelsBytecode],
    DevToken: [abi.devTokenAbi, abi.devTokenBytecode],
  }
  for (const [name, [wantedAbi, wantedBytecode]] of Object.entries(committed)) {
    const path = join(ROOT, `node_modules/.cache/forge/out/${name}.sol/${name}.json`)
    const artifact = JSON.parse(readFileSync(path, 'utf8')) as { abi: Entry[]; bytecode: { object: string } }
    assert.equal(artifact.bytecode.object, wantedBytecode, `${name}: run npm run contracts`)
    assert.deepEqual(inOrder(artifact.abi), inOrder(wantedAbi), `${name}: run npm run contracts`)
  }
})

function tellSteps(t: TestContext, campaign: Result['kind']['Invariant']): void {
  assert.ok(campaign)
  const steps = Object.entries(campaign.metrics).map(([step, { calls, reverts, discards }]) => ({
    step: step.split('.').at(-1) ?? step,
    effective: calls - reverts - discards,
    reverts,
  }))
  const reverts = steps.reduce((sum, step) => sum + step.reverts, 0)
  t.diagnostic(
    `${campaign.calls} calls, ${reverts} reverts; ${steps.map(({ step, effective }) => `${step} ${effective}`).join(', ')}`,
  )
  assert.ok(reverts <= campaign.calls / 2, 'more than half of the steps revert')
  assert.deepEqual([...new Set(steps.map(({ step }) => step.split('_')[0] ?? ''))].sort(), [...ACTORS].sort())
  for (const { step, effective } of steps) {
    assert.ok(effective >= LEAST_EFFECTIVE, `${step} had something to do only ${effective} times`)
  }
}

type Entry = { type: string; name?: string; inputs?: readonly unknown[] }

/** Forge may list an ABI in another order than solc; the order says nothing. */
function inOrder(abi: readonly Entry[]): Entry[] {
  const key = ({ type, name = '', inputs = [] }: Entry) => `${type} ${name} ${inputs.length}`
  return [...abi].sort((a, b) => (key(a) < key(b) ? -1 : 1))
}

function runForge(): Results {
  const env = { FOUNDRY_FUZZ_RUNS: '10000', ...process.env, NODE: process.execPath }
  const options = { cwd: ROOT, env, encoding: 'utf8', maxBuffer: 64 * 2 ** 20, timeout: 540_000 } as const
  const { stdout, stderr } = spawnSync(forge ?? '', ['test', '--json'], options)
  const start = stdout.indexOf('{')
  assert.ok(start >= 0, `forge gave no results:\n${stdout.slice(-3000)}\n${stderr.slice(-3000)}`)
  return JSON.parse(stdout.slice(start)) as Results
}

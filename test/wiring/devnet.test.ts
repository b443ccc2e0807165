/** A market on this machine leaves nothing behind, however it or one of its members ends. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Docker from 'dockerode'
import { findAnvil } from '../../src/chain/anvil.ts'
import { removeStale } from '../../src/wiring/devnet-traces.ts'
import { dockerMissing } from '../support/images.ts'

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts')
const skip = (await dockerMissing()) || (findAnvil() === undefined && 'no anvil for this machine')

type Market = {
  folder: string
  host: string
  hostPid: number
  anvilPid: number
  kill(signal: NodeJS.Signals): void
  ended: Promise<{ code: number | null; stderr: string }>
}

async function startMarket(t: TestContext): Promise<Market> {
  const child = spawn(process.execPath, [MAIN, 'devnet', '--hosts', '1', '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, stderr })),
  )
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve)
    void ended.then(() => reject(new Error(stderr)))
  })
  const { hosts } = JSON.parse(line) as { hosts: { home: string }[] }
  const host = hosts[0]?.home ?? ''
  const folder = dirname(host)
  const { anvil: anvilPid } = JSON.parse(readFileSync(join(folder, 'devnet.json'), 'utf8')) as { anvil: number }
  const { pid: hostPid } = JSON.parse(readFileSync(join(host, 'daemon.json'), 'utf8')) as { pid: number }
  return { folder, host, hostPid, anvilPid, kill: (signal) => child.kill(signal), ended }
}

/** A host makes sidecars ahead, so there is something to be left behind. */
async function containersOf(owner: string): Promise<number> {
  const filters = { label: [`meca.owner=${owner}`] }
  return (await new Docker().listContainers({ all: true, filters })).length
}

/** Resolves when the process is gone or nobody's any more; the test's own deadline strikes otherwise. */
async function gone(pid: number): Promise<void> {
  const status = `/proc/${pid}/status`
  while (existsSync(status) && !/^State:\s+Z/m.test(readFileSync(status, 'utf8'))) await sleep(50)
}

test('a market that is told to end exits with 0 and is gone', { skip, timeout: 120_000 }, async (t) => {
  const market = await startMarket(t)
  market.kill('SIGTERM')
  const { code, stderr } = await market.ended
  assert.equal(code, 0, stderr)
  assert.ok(!existsSync(market.folder))
  await gone(market.anvilPid)
})

test(
  'a member that is killed ends the market with its last words, and its containers go',
  {
    skip,
    timeout: 120_000,
  },
  async (t) => {
    const market = await startMarket(t)
    const owner = readFileSync(join(market.host, 'id'), 'utf8').trim()
    assert.ok((await containersOf(owner)) > 0)
    process.kill(market.hostPid, 'SIGKILL')
    const { code, stderr } = await market.ended
    assert.equal(code, 70)
    assert.match(stderr, /The process of host1 ended by itself \(signal SIGKILL\)[^]*its last words:\n {4}\S/)
    assert.equal(await containersOf(owner), 0)
    assert.ok(!existsSync(market.folder))
  },
)

test('what a killed market left is removed by the next one', { skip, timeout: 120_000 }, async (t) => {
  const market = await startMarket(t)
  const owner = readFileSync(join(market.host, 'id'), 'utf8').trim()
  await removeStale()
  assert.ok(existsSync(market.folder), 'a living market is left alone')
  market.kill('SIGKILL')
  await market.ended
  await removeStale()
  await Promise.all([gone(market.anvilPid), gone(market.hostPid)])
  assert.equal(await containersOf(owner), 0)
  assert.ok(!existsSync(market.folder))
})

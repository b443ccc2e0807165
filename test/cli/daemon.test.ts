/** A daemon and the commands that speak to it, as two programs in one home folder. */
import assert from 'node:assert/strict'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { CID } from '../support/fake-api.ts'
import { makeBench } from './support.ts'
import type { Bench, More, Ran } from './support.ts'

type Ready = { ready: boolean; url: string; role: string; address: string; pid: number; tokenFile: string }
type Daemon = { ready: Ready; first: AbortController; second: AbortController; ended: Promise<Ran> }

async function startDaemon(bench: Bench, noun: 'host' | 'node', more: More = {}): Promise<Daemon> {
  const [first, second] = [new AbortController(), new AbortController()]
  const told = Promise.withResolvers<string>()
  const ended = bench.run([noun, 'start', '--json'], {
    ...more,
    signal: first.signal,
    urgent: second.signal,
    onStdout: told.resolve,
  })
  const line = await Promise.race([told.promise, ended.then(({ stderr }) => Promise.reject(new Error(stderr)))])
  return { ready: JSON.parse(line) as Ready, first, second, ended }
}

test('a daemon says where it is, commands find it, and nothing is left of it', async (t) => {
  const bench = makeBench(t)
  const { ready, first, ended } = await startDaemon(bench, 'host')
  assert.equal(ready.ready, true)
  assert.equal(ready.role, 'host')
  for (const name of ['daemon.json', 'token'])
    assert.equal((await stat(join(bench.home, name))).mode & 0o777, 0o600, name)

  const { text } = await bench.run(['run', CID, '--data', 'through the daemon'])
  assert.equal(text, 'through the daemon')
  assert.equal(bench.opened.length, 1, 'only the daemon opened the node')

  const token = await readFile(ready.tokenFile, 'utf8')
  const answer = await fetch(`${ready.url}/v1/info`, { headers: { Authorization: `Bearer ${token}` } })
  assert.equal(answer.status, 200)

  first.abort()
  const { exit, stdout } = await ended
  assert.equal(exit, 0)
  assert.equal(stdout.toString().trim().split('\n').length, 1)
  for (const name of ['daemon.json', 'token']) await assert.rejects(stat(join(bench.home, name)), name)
})

test('a host that asks one stranger about its chain is told what that can cost; a client is not', async (t) => {
  for (const [role, says] of [
    ['host', /warning: rpc\.example, .*host\.exposureTotal.*\n {2}do: set chain\.witness/],
    ['node', /^(?![^]*warning)/],
  ] as const) {
    const bench = makeBench(t, { role })
    const { first, ended } = await startDaemon(bench, role, { env: { MECA_CHAIN_RPC: 'https://rpc.example/key' } })
    first.abort()
    assert.match((await ended).stderr, says)
  }
})

const hostCommands: [string[], RegExp][] = [
  [['status'], /^host +0x1+, open/],
  [['why'], /^requests +4, 3 accepted[^]*2 CPUs asked, 1 there/],
  [['earnings'], /^AS +RUN +HOST PART/],
  [['drain'], /^host +0x1+, draining/],
  [['drain', '--off'], /^host +0x1+, open/],
  [['price', '--cpus', '0.5', '--memory', '1G'], /^0\.000000000000009 ETH\n$/],
]

test("a host's commands speak to the running host, in words and in JSON", async (t) => {
  const bench = makeBench(t)
  const { first, ended } = await startDaemon(bench, 'host')
  for (const [argv, shown] of hostCommands) {
    const plain = await bench.run(['host', ...argv])
    assert.equal(plain.exit, 0, plain.stderr)
    assert.match(plain.text, shown)
    const { exit, json } = await bench.run(['host', ...argv, '--json'])
    assert.equal(exit, 0)
    assert.equal(typeof json(), 'object')
  }
  const { args } = bench.calls.findLast(({ name }) => name === 'price') ?? {}
  assert.deepEqual(args, [{ cpuMillis: 500, memoryBytes: 2 ** 30, gpus: 0 }, 60])
  first.abort()
  await ended
})

test("a host's commands without a host say how to start one", async (t) => {
  const bench = makeBench(t)
  const nobody = await bench.run(['host', 'status'])
  assert.equal(nobody.exit, 3)
  assert.match(nobody.stderr, /do: {2}start it with: meca host start/)
  const node = makeBench(t, { role: 'node' })
  const { first, ended } = await startDaemon(node, 'node')
  assert.equal((await node.run(['host', 'status'])).exit, 3)
  first.abort()
  await ended
})

test('the first signal drains: what runs is finished first', async (t) => {
  const bench = makeBench(t, { busy: 3 })
  const { first, ended } = await startDaemon(bench, 'host')
  first.abort()
  const { exit, stderr } = await ended
  assert.equal(exit, 0)
  assert.ok(bench.calls.some(({ name, args }) => name === 'drain' && args[0] === true))
  assert.match(stderr, /draining: 1 jobs run, 0 wait/)
})

test('the second signal does not wait for what runs', { timeout: 10_000 }, async (t) => {
  const bench = makeBench(t, { busy: 1_000_000 })
  const { first, second, ended } = await startDaemon(bench, 'host')
  first.abort()
  setTimeout(() => second.abort(), 150)
  assert.equal((await ended).exit, 0)
})

test('a daemon that was told to ends with the program that started it', { timeout: 10_000 }, async (t) => {
  const bench = makeBench(t)
  const stdin = new PassThrough()
  const told = Promise.withResolvers<string>()
  const ended = bench.run(['host', 'start', '--while-stdin'], { stdin, onStdout: told.resolve })
  await told.promise
  stdin.end()
  assert.equal((await ended).exit, 0)
  assert.ok(
    bench.calls.some(({ name }) => name === 'drain'),
    'what runs is finished even so',
  )
})

test('a left-over file of a daemon that was killed is passed over', async (t) => {
  const bench = makeBench(t)
  const gone = { url: 'http://127.0.0.1:9', token: 'a token that is stale', pid: 2 ** 22 + 1 }
  for (const text of [JSON.stringify(gone), JSON.stringify({ ...gone, pid: process.pid }), '{"url":', '']) {
    await writeFile(join(bench.home, 'daemon.json'), text)
    const { exit, text: out, stderr } = await bench.run(['run', CID, '--data', 'here'])
    assert.equal(exit, 0, stderr)
    assert.equal(out, 'here')
  }
  assert.equal(bench.opened.length, 4)
})

test('the token of a dead daemon is not sent to whoever has its port now', async (t) => {
  const bench = makeBench(t)
  const seen: string[] = []
  const { createServer } = await import('node:http')
  const thief = createServer((req, res) => {
    seen.push(String(req.headers.authorization))
    res.end()
  })
  await new Promise<void>((resolve) => thief.listen(0, '127.0.0.1', resolve))
  t.after(() => thief.close())
  const { port } = thief.address() as { port: number }
  const file = { url: `http://127.0.0.1:${port}`, token: 'a token that is stale', pid: 2 ** 22 + 1 }
  await writeFile(join(bench.home, 'daemon.json'), JSON.stringify(file))
  await bench.run(['job', 'list'])
  assert.deepEqual(seen, [])
})

test('a port that is taken stops the start with its setting', async (t) => {
  const bench = makeBench(t)
  const { ready, first, ended } = await startDaemon(bench, 'node')
  const other = makeBench(t)
  const { exit, stderr } = await other.run(['node', 'start', '--set', `api.port=${new URL(ready.url).port}`])
  assert.equal(exit, 2)
  assert.match(stderr, /api\.port/)
  first.abort()
  await ended
})

test('a folder of a task is sent to the daemon as an absolute path', async (t) => {
  const bench = makeBench(t)
  const { first, ended } = await startDaemon(bench, 'node')
  assert.equal((await bench.run(['task', 'publish', 'words', '--fee', '1'])).exit, 0)
  assert.equal(bench.calls.find(({ name }) => name === 'publish')?.args[0], join(process.cwd(), 'words'))
  first.abort()
  await ended
})

test('no secret of the daemon reaches an error text', async (t) => {
  const bench = makeBench(t)
  const { ready, first, ended } = await startDaemon(bench, 'node')
  const token = await readFile(ready.tokenFile, 'utf8')
  bench.api.money.claim = () => Promise.reject(new Error(`a library quotes Bearer ${token}`))
  const { stderr } = await bench.run(['claim'])
  assert.match(stderr, /a library quotes Bearer \[hidden\]/)
  first.abort()
  await ended
})

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { MecaError } from '../src/core/errors.ts'
import { createLog, Redaction } from '../src/log.ts'

async function logTo(t: TestContext, level = 'info') {
  const folder = await mkdtemp(join(tmpdir(), 'meca-log-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const redaction = new Redaction()
  const file = join(folder, 'sub', 'node.log')
  const read = async () =>
    (await readFile(file, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  return { log: createLog({ level, file, redaction }), redaction, file, read }
}

test('lines are JSON with level, time, room and ids; amounts are text; the file is private', async (t) => {
  const { log, file, read } = await logTo(t)
  log.child({ room: 'chain' }).info({ job: 'j1', priceWei: 2n ** 95n }, 'paid')
  log.debug('not at this level')
  const [line, ...rest] = await read()
  assert.deepEqual(rest, [])
  assert.deepEqual(
    { ...line, time: 0, pid: 0 },
    { level: 'info', time: 0, pid: 0, room: 'chain', job: 'j1', priceWei: (2n ** 95n).toString(), msg: 'paid' },
  )
  assert.match(String(line?.time), /^\d{4}-.*Z$/)
  assert.equal((await stat(file)).mode & 0o077, 0)
})

const KEY = 'ab'.repeat(16) + 'CD'.repeat(16)
const PASSWORD = 'corr"ect horse/ü'
const RPC = 'https://rpc.example/v1/hunter2hunter2'

test('a secret shows in no form: text, JSON, address, hex of any case, base64, bytes, error, cause, stack', async (t) => {
  const { log, redaction, file } = await logTo(t)
  redaction.add(`0x${KEY}`)
  redaction.add(PASSWORD)
  redaction.add(RPC)
  const bytes = Buffer.from(KEY, 'hex')
  log.info(
    { a: KEY, b: `0x${KEY.toLowerCase()}`, c: KEY.toUpperCase(), d: bytes.toString('base64'), e: [...bytes] },
    `key ${KEY}`,
  )
  log.info({ deep: { er: { still: [PASSWORD] } }, url: `http://x/?p=${encodeURIComponent(PASSWORD)}` }, PASSWORD)
  log.error(
    {
      err: new MecaError('internal', `bad ${KEY}`, { cause: new Error(`fetch ${RPC} failed`), details: { PASSWORD } }),
    },
    'failed',
  )
  const text = await readFile(file, 'utf8')
  for (const secret of [KEY, bytes.toString('base64'), bytes.join(','), 'corr', 'horse', 'hunter2']) {
    assert.ok(!text.toLowerCase().includes(secret.toLowerCase()), `${secret} is in the log`)
  }
  assert.equal(text.trim().split('\n').length, 3)
  for (const line of text.trim().split('\n')) JSON.parse(line)
})

test('fields with a secret name are hidden even where nobody registered the value', async (t) => {
  const { log, read } = await logTo(t)
  log.info({ password: 'p1', inner: { privateKey: 'p2', deeper: { authorization: 'p3' } }, token: '0xaddress' }, 'x')
  const [line] = await read()
  assert.deepEqual(line?.inner, { privateKey: '[hidden]', deeper: { authorization: '[hidden]' } })
  assert.equal(line?.password, '[hidden]')
  assert.equal(line?.token, '0xaddress')
})

test('an error shows its code, cure and causes, and not what else hangs on it', async (t) => {
  const { log, read } = await logTo(t)
  const cause = Object.assign(new Error('socket'), { code: 'ECONNREFUSED', request: { headers: { 'x-key': 'leak' } } })
  log.warn({ err: new MecaError('chain_unreachable', 'no answer', { cause, cure: 'start it' }) }, 'x')
  const [line] = await read()
  const text = JSON.stringify(line)
  for (const part of ['chain_unreachable', 'no answer', 'start it', 'ECONNREFUSED', 'socket'])
    assert.ok(text.includes(part), part)
  assert.ok(!text.includes('leak'))
})

test('a very short secret is not looked for, an unknown one stays, a longer one goes before its part', () => {
  const redaction = new Redaction()
  redaction.add('abc')
  redaction.add('secret')
  redaction.add('secret-longer')
  assert.equal(redaction.clean('abc secret secret-longer other'), 'abc [hidden] [hidden] other')
})

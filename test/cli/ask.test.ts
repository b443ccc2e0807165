/** Questions: asked only where somebody can answer, and never with the answer in sight. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CHANNEL, CID } from '../support/fake-api.ts'
import { makeBench } from './support.ts'

test('a locked key asks for its password at a terminal, and does not show it', async (t) => {
  const bench = makeBench(t, { locked: true })
  const { exit, stderr } = await bench.run(['job', 'list'], { typed: ['open sesame'] })
  assert.equal(exit, 0, stderr)
  assert.deepEqual(
    bench.opened.map(({ password }) => password),
    [undefined, 'open sesame'],
  )
  assert.match(stderr, /^Password of the key in /)
  assert.doesNotMatch(stderr, /sesame/)
})

test('the password comes from the environment without asking', async (t) => {
  const bench = makeBench(t, { locked: true })
  assert.equal((await bench.run(['job', 'list'], { env: { MECA_PASSWORD: 'from outside' } })).exit, 0)
  assert.equal(bench.opened[0]?.password, 'from outside')
})

for (const [what, argv, typed] of [
  ['nobody is there', ['job', 'list'], undefined],
  ['asking is forbidden', ['job', 'list', '--no-input'], ['secret']],
] as const) {
  test(`a locked key fails with exit code 10 where ${what}`, async (t) => {
    const bench = makeBench(t, { locked: true })
    const { exit, stderr } = await bench.run(argv, typed === undefined ? {} : { typed: [...typed] })
    assert.equal(exit, 10)
    assert.match(stderr, /do: {2}set MECA_PASSWORD_FILE/)
  })
}

test('no command takes a password as a flag', async (t) => {
  const bench = makeBench(t)
  assert.equal((await bench.run(['wallet', 'create', '--password', 'x'])).exit, 2)
})

test('a new password is asked for twice', async (t) => {
  const bench = makeBench(t)
  assert.equal((await bench.run(['wallet', 'create'], { typed: ['one two three', 'one two three'] })).exit, 0)
  assert.deepEqual(bench.opened, [{ role: 'wallet', password: 'one two three' }])
  const { exit, stderr } = await bench.run(['wallet', 'create'], { typed: ['one', 'another'] })
  assert.equal(exit, 2)
  assert.match(stderr, /differ/)
})

test('closing a channel asks a person, obeys --yes, and stops under --no-input', async (t) => {
  const bench = makeBench(t)
  const closed = () => bench.calls.filter(({ name }) => name === 'close').length
  assert.equal((await bench.run(['channel', 'close', CHANNEL], { typed: ['n'] })).exit, 130)
  assert.equal(closed(), 0)
  assert.equal((await bench.run(['channel', 'close', CHANNEL], { typed: ['y'] })).exit, 0)
  assert.equal((await bench.run(['channel', 'close', CHANNEL, '--yes'], { typed: [] })).exit, 0)
  assert.equal((await bench.run(['channel', 'close', CHANNEL])).exit, 0, 'a script named its target')
  assert.equal(closed(), 3)
  assert.equal((await bench.run(['channel', 'close', CHANNEL, '--no-input'])).exit, 10)
  assert.equal(closed(), 3)
})

test('Ctrl-C at a question ends the command, also where it came before the question', async (t) => {
  const bench = makeBench(t, { locked: true })
  for (const signal of [AbortSignal.timeout(50), AbortSignal.abort()]) {
    const { exit } = await bench.run(['run', CID, '--data', 'x'], { typed: [], signal })
    assert.equal(exit, 130)
  }
})

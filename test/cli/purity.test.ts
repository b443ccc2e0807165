/**
 * stdout is the result and nothing else, for every command there is, with and without --json: the list below is held
 * against the program's own, so that a new command cannot be forgotten.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Command } from 'commander'
import { NOUNS } from '../../src/cli/nouns.ts'
import { CHANNEL, CID, HOST } from '../support/fake-api.ts'
import { makeBench } from './support.ts'

const folder = mkdtempSync(join(tmpdir(), 'meca-purity-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const input = join(folder, 'input')
writeFileSync(input, 'from a file')

const flows = mkdtempSync(join(tmpdir(), 'meca-flows-test-'))
after(() => rmSync(flows, { recursive: true, force: true }))
const [flowFile, tasksFile] = [join(flows, 'flow.yml'), join(flows, 'tasks.json')]
writeFileSync(flowFile, `steps: { one: { task: ${CID}, data: hello } }`)
writeFileSync(
  tasksFile,
  JSON.stringify([{ name: 'a', image: 'a:1', command: ['true'], internal_prefix: '/w/', storage_prefix: 'b/x' }]),
)

type Example = {
  argv: string[]
  /** What stdout must be without --json. */
  text: RegExp
  /** Speaks to a daemon, so it is tried in daemon.test.ts and real end-to-end tests. */
  daemon?: true
}

const EXAMPLES: Record<string, Example> = {
  devnet: { argv: [], text: /./, daemon: true },
  'task init': { argv: [join(folder, 'new')], text: /^(\S+\n)+$/ },
  'task check': { argv: [folder], text: /^no findings/ },
  'task test': { argv: [folder], text: /^result +works/ },
  'task publish': { argv: [folder, '--fee', '1000'], text: /^published +0x1+\/words@1\.0\.0/ },
  'task list': { argv: ['--developer', HOST], text: /^TASK +VERSION/ },
  'task show': { argv: [CID], text: /^task +0x1+\/words@1\.0\.0/ },
  'task versions': { argv: [`${HOST}/words`], text: /^TASK +VERSION/ },
  quote: { argv: [CID, '--max-seconds', '5'], text: /^HOST +AT MOST/ },
  run: { argv: [CID, '--data', 'the answer'], text: /^the answer$/ },
  'flow run': { argv: [flowFile, '--out', join(flows, 'out')], text: /^STEP +STATE[^]*one +done/ },
  'flow check': { argv: [flowFile], text: /^STEP +TASK[^]*one/ },
  'flow convert': {
    argv: [tasksFile, '--from', 'borealis', '--out', join(flows, 'converted')],
    text: /flow\.yml\n.*docker-task\.json\n$/,
  },
  'job list': { argv: [], text: /^JOB +TASK/ },
  'job show': { argv: ['j-1'], text: /^job +j-1/ },
  'job logs': { argv: ['j-1'], text: /^meca-init-done\none request\n$/ },
  'job result': { argv: ['j-1'], text: /^before$/ },
  'job why': { argv: ['j-1'], text: /was chosen[^]*4 CPUs asked, 2 there/ },
  'job cancel': { argv: ['j-1'], text: /^job j-1/ },
  'hosts list': { argv: [], text: /^HOST +FREE/ },
  'host start': { argv: [], text: /./, daemon: true },
  'host status': { argv: [], text: /./, daemon: true },
  'host why': { argv: [], text: /./, daemon: true },
  'host payout': { argv: [HOST], text: /^host +0x2+\nearnings go to +0x1+\ntransaction/ },
  'host earnings': { argv: ['--by', 'task'], text: /^AS +TASK[^]*adds up to the chain: yes, 0 difference\n$/ },
  'host drain': { argv: [], text: /./, daemon: true },
  'host price': { argv: [], text: /./, daemon: true },
  'node start': { argv: [], text: /./, daemon: true },
  'channel open': { argv: [HOST, '0.01'], text: /^channel +0x4+/ },
  'channel list': { argv: [], text: /^CHANNEL +AS/ },
  'channel recover': { argv: [], text: /^CHANNEL +WITH/ },
  'channel close': { argv: [CHANNEL], text: /^channel +0x4+/ },
  claim: { argv: [], text: /^claimed +0\.000000000000009 ETH/ },
  withdraw: { argv: [], text: /^withdrawn +0\.000000000000008 ETH/ },
  earnings: { argv: [], text: /^AS +RUN[^]*adds up to the chain: yes, 0 difference\n$/ },
  reconcile: { argv: [], text: / 0\.000000000000001 ETH +not claimed yet\nthe ledgers and the chain agree\n$/ },
  'wallet create': { argv: [], text: /^0x1{40}\n$/ },
  'wallet show': { argv: [], text: /^0x2{40}\nTOKEN +WALLET[^]*1\.5 ETH/ },
  doctor: { argv: [], text: /^ok +chain: block 12/ },
  'config explain': { argv: [], text: /^SETTING +VALUE/ },
  version: { argv: [], text: /^0\.1\.0\n$/ },
}

async function commandsOf(): Promise<Command[]> {
  const all = await Promise.all(
    NOUNS.map(async ({ name, load }) => {
      const command = new Command('meca').command(name)
      ;(await load())(command, () => async () => undefined)
      return command.commands.length === 0 ? [command] : command.commands
    }),
  )
  return all.flat()
}

const nameOf = (command: Command): string =>
  command.parent === null || command.parent.name() === 'meca'
    ? command.name()
    : `${command.parent.name()} ${command.name()}`

test('every command of the program is tried here', async () => {
  assert.deepEqual((await commandsOf()).map(nameOf).sort(), Object.keys(EXAMPLES).sort())
})

test('every command has a description, and help that begins with examples which name it', async () => {
  for (const command of await commandsOf()) {
    let help = ''
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
    assert.match(help, new RegExp(`^Examples:\n  .*meca ${nameOf(command)}`), nameOf(command))
    assert.match(help, /--json/)
    const noun = NOUNS.find(({ name }) => name === command.name())
    assert.ok(command.description() !== '' || noun?.what !== '', nameOf(command))
  }
})

for (const [name, { argv, text, daemon }] of Object.entries(EXAMPLES)) {
  if (daemon === true) continue
  const words = [...name.split(' '), ...argv]
  const env = { MECA_PASSWORD: 'secret words' }

  test(`meca ${name} prints its result and nothing else`, async (t) => {
    const bench = makeBench(t)
    await bench.run(['run', CID, '--data', 'before', '--id', 'j-1'])
    rmSync(join(folder, 'new'), { recursive: true, force: true })
    const { exit, text: out, stderr } = await bench.run(words, { env })
    assert.equal(exit, 0, stderr)
    assert.match(out, text)
    assert.doesNotMatch(out, /^(next:|cost \S|error:|running$)/m, 'talk belongs on stderr')
  })

  test(`meca ${name} --json prints one JSON document`, async (t) => {
    const bench = makeBench(t)
    await bench.run(['run', CID, '--data', 'before', '--id', 'j-1'])
    rmSync(join(folder, 'new'), { recursive: true, force: true })
    const { exit, json, text: out, stderr } = await bench.run([...words, '--json'], { env })
    assert.equal(exit, 0, stderr)
    assert.equal(typeof json(), 'object')
    assert.equal(out.trim().split('\n').length, 1, 'one line, so that it can stand among others')
  })

  test(`meca ${name} -q is silent on stderr`, async (t) => {
    const bench = makeBench(t)
    await bench.run(['run', CID, '--data', 'before', '--id', 'j-1'])
    rmSync(join(folder, 'new'), { recursive: true, force: true })
    const { exit, stderr } = await bench.run([...words, '-q'], { env })
    assert.equal(exit, 0)
    assert.equal(stderr, '')
  })

  test(`meca ${name} that fails prints its error as one JSON document, and words to stderr`, async (t) => {
    const bench = makeBench(t)
    const { exit, json, text: out, stderr } = await bench.run([...words, '--json', '--no-such-flag'], { env })
    assert.equal(exit, 2)
    assert.deepEqual((json() as { error: { code: string; exit: number } }).error.code, 'bad_input')
    assert.equal(out.trim().split('\n').length, 1)
    assert.match(stderr, /error: .*--no-such-flag/)
  })
}

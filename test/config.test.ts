import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { parseDocument, visit } from 'yaml'
import { loadConfig, variableOf } from '../src/config.ts'
import { armFailpoints, failpoint } from '../src/failpoint.ts'
import { SETTINGS } from '../src/settings.ts'

const config = (name: string) => new URL(`../config/${name}`, import.meta.url).pathname

/** A folder to start in, whose meca.yml names a home in it; `env` is empty unless a test fills it. */
async function folderWith(t: TestContext, files: Record<string, string>) {
  const cwd = await mkdtemp(join(tmpdir(), 'meca-config-test-'))
  t.after(() => rm(cwd, { recursive: true, force: true }))
  await mkdir(join(cwd, 'home'))
  for (const [name, text] of Object.entries({ 'meca.yml': 'home: ./home\n', ...files }))
    await writeFile(join(cwd, name), text)
  return { cwd, env: {} }
}

test('flag > variable > --config file > ./meca.yml > config.yml in the home > default, and explain says so', async (t) => {
  const at = await folderWith(t, {
    'home/config.yml': 'chain: {pollMs: 1s}\n',
    'meca.yml': 'home: ./home\nchain: {pollMs: 2s}\n',
    'other.yml': 'chain: {pollMs: 3s}\n',
  })
  const file = 'other.yml'
  const env = { MECA_CHAIN_POLL_MS: '4000' }
  const flags = { 'chain.pollMs': '5s' }
  const pollMs = (sources: Parameters<typeof loadConfig>[0]) => loadConfig({ ...at, ...sources }).config.chain.pollMs
  assert.equal(pollMs({ flags, env, file }), 5000)
  assert.equal(pollMs({ env, file }), 4000)
  assert.equal(pollMs({ file }), 3000)
  assert.equal(pollMs({}), 2000)
  assert.equal(pollMs({ flags: { 'chain.pollMs': undefined }, env: { MECA_CHAIN_POLL_MS: '' } }), 2000)
  await writeFile(join(at.cwd, 'meca.yml'), 'home: ./home\n')
  assert.equal(pollMs({}), 1000)
  await rm(join(at.cwd, 'home', 'config.yml'))
  assert.equal(pollMs({}), 4000)

  await writeFile(join(at.cwd, 'home', 'config.yml'), 'chain: {pollMs: 1s}\n')
  const [explained] = loadConfig({ ...at, env: { MECA_CHAIN_POLL_MS: '4000' } }).explain('chain.pollMs')
  assert.deepEqual(explained, {
    key: 'chain.pollMs',
    value: 4000,
    origin: 'MECA_CHAIN_POLL_MS',
    hidden: [
      { origin: join(at.cwd, 'home', 'config.yml'), value: 1000 },
      { origin: config('default.yml'), value: 4000 },
    ],
  })
})

test('a wrong value stops the start and names the setting, the place and what is expected', async (t) => {
  const at = await folderWith(t, {
    'bad.yml': 'limits:\n  inputBytes: lots\n',
    'float.yml': 'host:\n  claimThreshold: 1e18\n',
  })
  const rejects = (sources: Parameters<typeof loadConfig>[0], message: RegExp) =>
    assert.throws(() => loadConfig({ ...at, ...sources }), { code: 'bad_config', message })
  rejects({ env: { MECA_CHAIN_POLL_MS: 'soon' } }, /^chain\.pollMs \(MECA_CHAIN_POLL_MS\) .*"soon".*90s/)
  rejects({ env: { MECA_API_PORT: '70000' } }, /^api\.port \(MECA_API_PORT\) .*65535/)
  rejects({ env: { MECA_P2P_MDNS: 'yes' } }, /^p2p\.mdns/)
  rejects({ env: { MECA_LOG_LEVEL: 'loud' } }, /^log\.level/)
  rejects({ env: { MECA_HOST_PAYOUT: '0x1' } }, /^host\.payout .*40 hex/)
  rejects({ flags: { 'client.maxPrice': '-1' } }, /^client\.maxPrice \(flag for client\.maxPrice\)/)
  rejects({ file: 'bad.yml' }, /^limits\.inputBytes \(.*bad\.yml\) .*"lots"/)
  rejects({ file: 'float.yml' }, /^host\.claimThreshold .*amount of money/)
  rejects({ file: 'absent.yml' }, /absent\.yml cannot be read/)
})

test('a name that is no setting stops the start, with the one that was probably meant', async (t) => {
  const at = await folderWith(t, { 'typo.yml': 'chain:\n  polMs: 1s\n', 'list.yml': '- 1\n', 'broken.yml': 'a: [1\n' })
  const rejects = (sources: Parameters<typeof loadConfig>[0], expected: object) =>
    assert.throws(() => loadConfig({ ...at, ...sources }), { code: 'bad_config', ...expected })
  rejects({ env: { MECA_POLL_MS: '1' } }, { message: /MECA_POLL_MS/, cure: 'did you mean MECA_CHAIN_POLL_MS?' })
  rejects({ file: 'typo.yml' }, { message: /chain\.polMs .*typo\.yml/ })
  rejects({ file: 'list.yml' }, { message: /group of settings/ })
  rejects({ file: 'broken.yml' }, { message: /not YAML/ })
  rejects({ flags: { 'chain.pollms': '1' } }, { cure: 'did you mean chain.pollMs?' })
  loadConfig({ ...at, env: { MECA_TEST_REQUIRE: 'docker' } })
})

test('amounts keep every digit in a file, a variable and a tariff', async (t) => {
  const wei = '79228162514264337593543950335'
  const tariff = { token: `0x${'0'.repeat(40)}`, perJob: wei, perCpuSecond: '1', perGibSecond: '0', perGpuSecond: '0' }
  const at = await folderWith(t, {
    'a.yml': `host:\n  claimThreshold: ${wei}\n  tariffs:\n    - {token: '${tariff.token}', perJob: ${wei}, perCpuSecond: 1, perGibSecond: 0, perGpuSecond: '0'}\n`,
  })
  const { host } = loadConfig({ ...at, file: 'a.yml' }).config
  assert.deepEqual(host.claimThreshold, [wei])
  assert.equal(host.tariffs[0]?.perJob, BigInt(wei))
  const fromEnv = loadConfig({
    ...at,
    env: { MECA_HOST_CLAIM_THRESHOLD: wei, MECA_HOST_TARIFFS: JSON.stringify([tariff]) },
  })
  assert.deepEqual(fromEnv.config.host.claimThreshold, [wei])
  assert.deepEqual(fromEnv.config.host.tariffs, host.tariffs)
})

test('paths are meant from the file that says them; lists split; null unsets; DOCKER_HOST is read', async (t) => {
  const at = await folderWith(t, {
    'home/config.yml': 'log: {file: node.log}\nhost: {cpus: 2}\n',
    'unset.yml': 'host: {cpus: ~}\n',
  })
  const loaded = loadConfig({
    ...at,
    env: { DOCKER_HOST: 'unix:///x.sock', MECA_P2P_LISTEN: '/ip4/1, /ip4/2' },
  })
  const plain = loaded.config
  assert.equal(plain.log.file, join(at.cwd, 'home', 'node.log'))
  assert.equal(plain.home, join(at.cwd, 'home'))
  assert.deepEqual(plain.p2p.listen, ['/ip4/1', '/ip4/2'])
  assert.equal(plain.engine.socket, 'unix:///x.sock')
  assert.equal(loaded.explain('engine.socket')[0]?.origin, 'DOCKER_HOST')
  assert.equal(plain.host.cpus, 2)
  assert.equal(loadConfig({ ...at, file: 'unset.yml' }).config.host.cpus, undefined)
})

test('a password comes from a variable or a file; no secret shows in explain or in an error', async (t) => {
  const at = await folderWith(t, { secret: 'hunter2 \n' })
  assert.equal(loadConfig(at).secrets.password, undefined)
  assert.equal(loadConfig({ ...at, env: { MECA_PASSWORD_FILE: 'secret' } }).secrets.password, 'hunter2 ')
  assert.equal(
    loadConfig({ ...at, env: { MECA_PASSWORD: 'direct', MECA_PASSWORD_FILE: 'secret' } }).secrets.password,
    'direct',
  )
  const loaded = loadConfig({ ...at, env: { MECA_CHAIN_RPC: 'https://x/hunter2' } })
  assert.equal(loaded.config.chain.rpc, 'https://x/hunter2')
  const shown = (url: string) => loadConfig({ ...at, env: { MECA_CHAIN_RPC: url } }).explain('chain.rpc')[0]?.value
  assert.equal(shown('https://x:8545/v3/hunter2?k=hunter2'), 'https://x:8545/[hidden]')
  assert.equal(shown('https://x/?k=hunter2'), 'https://x/[hidden]')
  assert.equal(shown('http://a:hunter2@x'), 'http://[hidden]@x')
  assert.equal(shown('http://127.0.0.1:8545'), 'http://127.0.0.1:8545')
  assert.ok(!JSON.stringify(loaded.explain().map((e) => String(e.value))).includes('hunter2'))
  assert.throws(
    () => loadConfig({ ...at, env: { MECA_CHAIN_RPC: 'hunter2' } }),
    (error: Error) => /chain\.rpc/.test(error.message) && !/hunter2/.test(error.message),
  )
})

test('default.yml names every setting once, each with its reason in a comment, and nothing else', async (t) => {
  const document = parseDocument(await readFile(config('default.yml'), 'utf8'))
  const commented = new Map<string, boolean>()
  visit(document, {
    Pair(_, pair, ancestors) {
      const names = [...ancestors, pair].flatMap((node) => ('key' in node ? [String(node.key)] : []))
      const key = names.join('.')
      if (SETTINGS.has(key)) commented.set(key, hasComment(pair.key))
    },
  })
  assert.deepEqual([...commented.keys()], [...SETTINGS.keys()])
  const shared = new Set(['host.memoryBytes', 'host.exposureTotal', 'client.perHostCap', 'limits.outputBytes'])
  const bare = [...commented].filter(([key, has]) => !has && !shared.has(key) && !isFirst(key)).map(([key]) => key)
  assert.deepEqual(bare, [])
  const at = await folderWith(t, {})
  loadConfig({ ...at, file: config('devnet.yml') })
})

/** The comment of a group's first setting hangs on the group. */
function isFirst(key: string): boolean {
  const [group = ''] = key.split('.')
  return [...SETTINGS.keys()].find((k) => k.startsWith(`${group}.`)) === key || key === 'home'
}

function hasComment(node: unknown): boolean {
  return typeof node === 'object' && node !== null && 'commentBefore' in node && typeof node.commentBefore === 'string'
}

test('variables are named after their settings', () => {
  assert.equal(variableOf('chain.pollMs'), 'MECA_CHAIN_POLL_MS')
  assert.equal(variableOf('host.exposurePerClient'), 'MECA_HOST_EXPOSURE_PER_CLIENT')
  assert.equal(new Set([...SETTINGS.keys()].map(variableOf)).size, SETTINGS.size)
})

test('failpoints are armed by their variable only, fire at the n-th passage, once', async (t) => {
  t.after(() => armFailpoints(''))
  const at = await folderWith(t, {})
  loadConfig({ ...at, env: { MECA_FAILPOINTS: 'store.synced=throw@2,home.locked=stall:30' } })
  failpoint('store.synced')
  assert.throws(() => failpoint('store.synced'), /failpoint store\.synced/)
  failpoint('store.synced')
  const before = performance.now()
  failpoint('home.locked')
  assert.ok(performance.now() - before >= 29)
  loadConfig(at)
  failpoint('store.synced')
  assert.throws(() => loadConfig({ ...at, env: { MECA_FAILPOINTS: 'home.locked=explode' } }), {
    code: 'bad_config',
    message: /MECA_FAILPOINTS/,
  })
  assert.throws(() => loadConfig({ ...at, env: { MECA_FAILPOINTS: 'nowhere=kill' } }), {
    code: 'bad_config',
    message: /no failpoint nowhere/,
  })
})

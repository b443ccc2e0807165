import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openHome } from '../../src/store/home.ts'
import { Store } from '../../src/store/store.ts'
import { SMALL, tempFolder } from './support.ts'

const holder = new URL('./holder.fixture.ts', import.meta.url).pathname

/** Another process that opens the home and says so; resolves to what it printed first. */
async function startHolder(folder: string) {
  const child = spawn(process.execPath, [holder, folder], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
  const exited = once(child, 'exit')
  return { child, said: chunk.toString().trim(), exited }
}

test('a new home is private, has an id that stays, and its folders', async (t) => {
  const folder = join(await tempFolder(t), 'deep', 'home')
  const home = await openHome(folder, SMALL)
  assert.equal((await stat(folder)).mode & 0o777, 0o700)
  assert.match(home.id, /^[0-9a-f]{32}$/)
  assert.ok((await stat(home.paths.keys)).isDirectory())
  await home.close()
  const again = await openHome(folder, SMALL)
  assert.equal(again.id, home.id)
  await again.close()
})

test('a home is opened once in one process, also through another name for it', async (t) => {
  const folder = await tempFolder(t)
  const home = await openHome(join(folder, 'home'), SMALL)
  await symlink(join(folder, 'home'), join(folder, 'alias'))
  await assert.rejects(openHome(join(folder, 'home'), SMALL), { code: 'home_in_use', message: /this process/ })
  await assert.rejects(openHome(join(folder, 'alias'), SMALL), { code: 'home_in_use' })
  await home.close()
  await (await openHome(join(folder, 'alias'), SMALL)).close()
})

test('a home that another process owns is refused with its pid, until that process is killed', async (t) => {
  const folder = await tempFolder(t)
  const { child, said, exited } = await startHolder(folder)
  assert.equal(said, 'open')
  await assert.rejects(openHome(folder, SMALL), { code: 'home_in_use', message: new RegExp(`process ${child.pid},`) })
  child.kill('SIGKILL')
  await exited
  await (await openHome(folder, SMALL)).close()
})

test('of many processes that find the same stale lock, exactly one wins', async (t) => {
  const folder = await tempFolder(t)
  await (await openHome(folder, SMALL)).close()
  const dead = { pid: process.pid, startTicks: '1', bootId: 'x', since: 'then' }
  await writeFile(join(folder, 'lock.7'), JSON.stringify(dead))
  const holders = await Promise.all(Array.from({ length: 4 }, () => startHolder(folder)))
  assert.deepEqual(holders.map((h) => h.said).sort(), ['home_in_use', 'home_in_use', 'home_in_use', 'open'])
  for (const { child, exited } of holders) {
    child.stdin.end()
    await exited
  }
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('lock')),
    ['lock.8'],
  )
})

test('a database that is open elsewhere is refused even where the lock of the folder did not see it', async (t) => {
  const folder = await tempFolder(t)
  const { child, exited } = await startHolder(folder)
  for (const name of await readdir(folder)) if (name.startsWith('lock.')) await truncate(join(folder, name))
  const home = await openHome(folder, SMALL)
  await assert.rejects(Store.open(home), { code: 'home_in_use', message: /database/ })
  await home.close()
  child.stdin.end()
  await exited
})

test('a folder with foreign files, a file, a newer version and a broken id are refused with the reason', async (t) => {
  const folder = await tempFolder(t)
  const refused = (name: string, message: RegExp) =>
    assert.rejects(openHome(join(folder, name), SMALL), { code: 'home_unreadable', message })
  await mkdir(join(folder, 'foreign'))
  await writeFile(join(folder, 'foreign', 'thesis.doc'), '')
  await refused('foreign', /thesis\.doc/)
  assert.deepEqual(await readdir(join(folder, 'foreign')), ['thesis.doc'])
  await writeFile(join(folder, 'file'), '')
  await refused('file', /EEXIST|not a folder/)
  for (const [name, text] of [
    ['version', '2\n'],
    ['id', 'x'],
  ] as const) {
    await (await openHome(join(folder, name), SMALL)).close()
    await writeFile(join(folder, name, name), text)
    await refused(name, name === 'id' ? /32 hex digits/ : /version "2"/)
  }
})

test('a home belongs to one market for good', async (t) => {
  const folder = await tempFolder(t)
  const channels = `0x${'1'.repeat(40)}` as const
  const home = await openHome(folder, SMALL)
  await home.pin({ chainId: 31337, channels })
  await home.pin({ chainId: 31337, channels })
  await assert.rejects(home.pin({ chainId: 1, channels }), { code: 'home_unreadable', message: /31337.*"chainId":1,/s })
  await home.close()
})

test('too little free space refuses work with the numbers; the ballast is real, can be dropped and put back', async (t) => {
  const folder = await tempFolder(t)
  const home = await openHome(folder, { floorBytes: 2 ** 60, ballastBytes: 2 ** 20 })
  await assert.rejects(home.requireSpace(0), { code: 'disk_full', message: /MiB are free/ })
  assert.ok((await stat(join(folder, 'ballast'))).blocks * 512 >= 2 ** 20)
  await home.dropBallast()
  await assert.rejects(stat(join(folder, 'ballast')), { code: 'ENOENT' })
  await home.restoreBallast()
  assert.ok((await stat(join(folder, 'ballast'))).blocks * 512 >= 2 ** 20)
  await home.close()
  const roomy = await openHome(folder, SMALL)
  await roomy.requireSpace(1)
  await roomy.close()
})

test('temp files of killed processes go away once they are old', async (t) => {
  const folder = await tempFolder(t)
  await (await openHome(folder, SMALL)).close()
  for (const name of ['.tmp-old', '.tmp-new']) await writeFile(join(folder, name), 'half')
  await utimes(join(folder, '.tmp-old'), 1, 1)
  await (await openHome(folder, SMALL)).close()
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('.tmp')),
    ['.tmp-new'],
  )
  assert.equal(await readFile(join(folder, 'version'), 'utf8'), '1\n')
  await rm(join(folder, '.tmp-new'))
})

/** A home folder belongs to one market and one process: of another chain, contract or version, or in use, it is refused whole. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import type { Deployment } from '../../src/chain/chain.ts'
import { deploy } from '../../src/chain/deploy.ts'
import { loadConfig } from '../../src/config.ts'
import { createLog, Redaction } from '../../src/log.ts'
import { makeCloser, openBase } from '../../src/wiring/base.ts'
import { prepareHome } from '../../src/wiring/prepare.ts'
import { hdKey } from '../chain/keys.ts'
import { startMarket } from '../chain/market.ts'
import type { Market } from '../chain/market.ts'
import { failure } from '../support/engine.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false

describe('a home folder', { skip }, () => {
  let market: Market
  let other: Deployment
  let folder: string
  let home: string
  const closer = makeCloser()

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'meca-foreign-'))
    closer.add(() => rm(folder, { recursive: true, force: true }))
    market = await startMarket()
    closer.add(() => market.close())
    other = await deploy(market.url, market.signer(9), { signal: market.signal, pollMs: 20 })
    home = join(folder, 'home')
    await prepareHome({ folder: home, password: 'play', keep: true, rounds: 1024, privateKey: hdKey(5) })
    const first = await open(market.deployment)
    await first.close()
  })

  after(() => closer.close())

  /** Closed again at once where it fails, as a node does. */
  async function open(deployment: Deployment) {
    const file = join(folder, 'deployment.json')
    await writeFile(file, JSON.stringify(deployment))
    const { config, secrets } = loadConfig({
      env: {},
      cwd: folder,
      file: new URL('../../config/devnet.yml', import.meta.url).pathname,
      flags: { home, 'chain.rpc': market.url, 'chain.deployment': file },
    })
    const own = makeCloser()
    const log = createLog({ level: 'silent', redaction: new Redaction() })
    try {
      await openBase(config, secrets.password, log, own, market.signal)
      return own
    } catch (error) {
      await own.close()
      throw error
    }
  }

  const wrong = {
    contract: () => other,
    chain: () => ({ ...market.deployment, chainId: market.deployment.chainId + 1 }),
    mixed: () => ({
      ...market.deployment,
      contracts: { ...market.deployment.contracts, tasks: other.contracts.tasks },
    }),
    empty: () => ({
      ...market.deployment,
      contracts: { ...market.deployment.contracts, channels: `0x${'0d'.repeat(20)}` as const },
    }),
  }

  test('of another contract on the same chain is refused with both names', async () => {
    const { message, cure } = await failure('home_unreadable', open(wrong.contract()))
    assert.match(message, new RegExp(`${market.deployment.contracts.channels}.*${other.contracts.channels}`, 's'))
    assert.match(cure ?? '', /--home/)
  })

  test('is not opened for a chain with another id, mixed contracts, or an address without a contract', async () => {
    assert.match((await failure('wrong_chain', open(wrong.chain()))).message, /chain 31337/)
    assert.match((await failure('wrong_chain', open(wrong.mixed()))).message, /do not belong together/)
    assert.match((await failure('wrong_chain', open(wrong.empty()))).message, /no contract at/)
  })

  test('of a newer version is left as it is', async () => {
    const file = join(home, 'version')
    const version = await readFile(file, 'utf8')
    await writeFile(file, '99\n')
    assert.match((await failure('home_unreadable', open(market.deployment))).message, /version "99"/)
    assert.equal(await readFile(file, 'utf8'), '99\n')
    await writeFile(file, version)
  })

  test('is opened by one node at a time, and by the next when that has ended', async () => {
    const first = await open(market.deployment)
    assert.match((await failure('home_in_use', open(market.deployment))).message, new RegExp(home))
    await first.close()
    const second = await open(market.deployment)
    await second.close()
  })
})

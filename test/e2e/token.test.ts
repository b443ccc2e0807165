/**
 * One market, three currencies: tasks in the chain's own, in a token with six decimals and in one with none run side by
 * side, each is paid in its own and in no other, and everything adds up on the chain to the last unit.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import { findAnvil } from '../../src/chain/anvil.ts'
import { deployToken } from '../../src/chain/deploy.ts'
import { Token } from '../../src/chain/token.ts'
import { connect } from '../../src/chain/chain.ts'
import type { Chain } from '../../src/chain/chain.ts'
import { MecaError } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import type { NodeApi } from '../../src/role/api.ts'
import type { Published } from '../../src/role/api-developer.ts'
import { dockerMissing } from '../support/images.ts'
import { accountKey, openWorld } from '../support/world.ts'
import type { World } from '../support/world.ts'

const TASK = new URL('../../examples/meca-shell', import.meta.url).pathname
const skip = (await dockerMissing()) || (findAnvil() === undefined && 'no anvil for this machine')
const { signal } = new AbortController()
const quiet = (): void => undefined

const DEPLOYER = 9
const [MUSD, COIN] = [6, 0].map((decimals) => 1_000_000n * 10n ** BigInt(decimals))
const FEES = { ETH: 1_000_000n, MUSD: 2_500n, COIN: 3n }
type Symbol = keyof typeof FEES

describe('a market in several currencies', { skip }, () => {
  let world: World
  let chain: Chain
  let client: NodeApi
  let developer: NodeApi
  /** Takes all three; the other takes the chain's own currency only. */
  let broad: NodeApi
  let narrow: NodeApi
  let input: Buffer
  const tokens = {} as Record<Symbol, Hex>
  const tasks = {} as Record<Symbol, Published>

  before(async () => {
    await ensureBase(new Docker(), 'busybox', signal)
    input = await readFile(join(TASK, 'example_input.bin'))
    const share = (amount: bigint) => [{ to: makeSigner(accountKey(2)).address, amount }]
    const token = { name: 'Play Dollar', symbol: 'MUSD', decimals: 6, supply: MUSD ?? 0n, shares: share(MUSD ?? 0n) }
    world = await openWorld({ hosts: 0, token })
    assert.ok(world.deployment.token)
    const coin = { name: 'Coin', symbol: 'COIN', decimals: 0, supply: COIN ?? 0n, shares: share(COIN ?? 0n) }
    const made = await deployToken(world.anvil.url, makeSigner(accountKey(DEPLOYER)), coin, { signal, pollMs: 50 })
    Object.assign(tokens, { ETH: NATIVE, MUSD: world.deployment.token, COIN: made })
    const rate = (token: Hex, perJob: string, perCpuSecond: string) => ({
      token,
      perJob,
      perCpuSecond,
      perGibSecond: '0',
      perGpuSecond: '0',
    })
    const own = rate(NATIVE, '1000000000000000', '100000000000000')
    const caps = '100ETH, 1000MUSD, 1000COIN'
    const all = [own, rate(tokens.MUSD, '1000', '100'), rate(tokens.COIN, '2', '1')]
    broad = await host('broad', 3, {
      'host.tariffs': JSON.stringify(all),
      'host.exposurePerClient': caps,
      'host.exposureTotal': caps,
    })
    narrow = await host('narrow', 4, { 'host.tariffs': JSON.stringify([own]) })
    const spending = { 'client.depositCap': '1ETH, 100MUSD, 500COIN', 'client.maxPrice': '0.1ETH, 1MUSD, 100COIN' }
    client = (await world.open('buyer', 'node', 2, { 'chain.tokens': tokens.COIN, ...spending })).api
    developer = world.developer.api
    chain = await connect(world.anvil.url, world.deployment, { signal, pollMs: 50 })
    for (const symbol of ['MUSD', 'ETH', 'COIN'] as const) tasks[symbol] = await publish(symbol)
  })

  after(async () => {
    await world.close()
  })

  async function host(name: string, account: number, flags: Record<string, unknown>): Promise<NodeApi> {
    return (await world.open(name, 'host', account, flags)).api
  }

  /** The market's own currency needs no name. */
  function publish(symbol: Symbol): Promise<Published> {
    const token = symbol === 'MUSD' ? {} : { token: tokens[symbol] }
    const buildArgs = { BASE: 'meca-base/busybox' }
    const options = {
      fee: FEES[symbol],
      name: symbol.toLowerCase(),
      version: '1.0.0',
      buildArgs,
      skipTest: true,
      ...token,
    }
    return developer.developer.publish(TASK, options, quiet, signal)
  }

  function run(symbol: Symbol, options: { maxPrice?: bigint; host?: Hex } = {}) {
    return client.client.run(tasks[symbol].cid, input, { maxSeconds: 10, ...options }, quiet, signal)
  }

  async function fails(code: ErrorCode, work: Promise<unknown>): Promise<MecaError> {
    const error = await work.then(
      () => assert.fail(`expected ${code}`),
      (e: unknown) => e,
    )
    assert.ok(error instanceof MecaError, String(error))
    assert.equal(error.code, code, error.message)
    return error
  }

  test('every node knows its currencies by name, the market’s own first', async () => {
    const { token, tokens: known } = await client.info()
    assert.equal(token.symbol, 'MUSD')
    assert.deepEqual(
      known.map(({ symbol, decimals }) => [symbol, decimals]),
      [
        ['MUSD', 6],
        ['ETH', 18],
        ['COIN', 0],
      ],
    )
    assert.deepEqual((await client.money.wallet(signal)).balances.map(({ wallet }) => wallet)[0], MUSD?.toString())
    assert.equal(tasks.MUSD.token, tokens.MUSD)
  })

  test('each is quoted in the task’s own currency, and a host that does not take it says what it takes', async () => {
    for (const symbol of ['ETH', 'MUSD', 'COIN'] as const) {
      const quote = await client.client.quote(tasks[symbol].cid, { maxSeconds: 10 }, signal)
      assert.equal(quote.token.symbol, symbol)
      assert.deepEqual(
        quote.hosts.map(({ developerAmount }) => developerAmount),
        quote.hosts.map(() => FEES[symbol].toString()),
      )
      assert.equal(quote.hosts.length, symbol === 'ETH' ? 2 : 1, JSON.stringify(quote.refusals))
      const refused = symbol === 'ETH' ? [] : [['token', `takes ETH, not ${symbol}`]]
      assert.deepEqual(
        quote.refusals.map(({ code, reason }) => [code, reason]),
        refused,
      )
    }
    const only = (await narrow.info()).address
    const error = await fails('no_host', run('MUSD', { host: only }))
    assert.match(error.message, /takes ETH, not MUSD/)
    const taken = (await client.client.hosts()).map(({ tariffs }) => tariffs.length)
    assert.deepEqual(taken.sort(), [1, 3])
  })

  test('caps are words in the currency that they cap', async () => {
    assert.match(
      (await fails('price_cap', run('MUSD', { maxPrice: 4_000n }))).message,
      /costs up to 0\.0045 MUSD, the cap is 0\.004 MUSD/,
    )
    assert.match(
      (await fails('price_cap', run('COIN', { maxPrice: 1n }))).message,
      /costs up to \d+ COIN, the cap is 1 COIN/,
    )
  })

  test('all run at once, each paid from a channel in its own currency, and all adds up to the last unit', async () => {
    const everything = (['ETH', 'MUSD', 'COIN', 'MUSD', 'ETH', 'COIN'] as const).map(async (symbol) => ({
      symbol,
      result: await run(symbol),
    }))
    const results = await Promise.all(everything)
    for (const { symbol, result } of results) {
      assert.equal(result.status, 'answered')
      assert.equal(result.price.token, tokens[symbol])
      assert.equal(result.price.developer, FEES[symbol].toString())
    }
    const open = await client.money.channels(signal)
    assert.deepEqual(new Set(open.map(({ token }) => token)), new Set(Object.values(tokens)))
    for (const symbol of ['MUSD', 'COIN'] as const) await nothingAllowed(symbol)

    const claimed = await settled(results.map(({ result }) => result.host))
    const spent = (symbol: Symbol, part: 'host' | 'developer') =>
      results.filter((r) => r.symbol === symbol).reduce((all, { result }) => all + BigInt(result.price[part]), 0n)
    for (const symbol of ['ETH', 'MUSD', 'COIN'] as const)
      assert.equal(claimed[symbol], spent(symbol, 'host'), `${symbol} in the reports of the claims`)
    for (const { channel } of open) await client.money.close(channel, signal)
    for (const node of [broad, narrow, developer])
      for (const symbol of ['ETH', 'MUSD', 'COIN'] as const)
        await node.money.withdraw({ token: tokens[symbol] }, signal)

    const { address: payee } = await broad.info()
    const { address: author } = await developer.info()
    const { address: buyer } = await client.info()
    for (const [symbol, supply] of [
      ['MUSD', MUSD],
      ['COIN', COIN],
    ] as const) {
      const balance = (account: Hex) => new Token(chain, tokens[symbol]).balance(account, signal)
      assert.equal(await balance(payee), spent(symbol, 'host'), `${symbol} of the host`)
      assert.equal(await balance(author), spent(symbol, 'developer'), `${symbol} of the developer`)
      assert.equal(await balance(buyer), (supply ?? 0n) - spent(symbol, 'host') - spent(symbol, 'developer'))
      assert.equal(await balance(world.deployment.contracts.channels), 0n, `${symbol} left in the contract`)
    }
    assert.equal(await chain.balance(world.deployment.contracts.channels, signal), 0n)
    for (const node of [client, broad, narrow]) {
      const report = await node.money.reconcile(signal)
      assert.ok(report.ok, JSON.stringify(report.lines.filter(({ ok }) => !ok)))
    }
    const earned = await broad.host?.status()
    const own = (symbol: Symbol) => earned?.earned.find(({ token }) => token === tokens[symbol])
    for (const symbol of ['MUSD', 'COIN'] as const)
      assert.equal(own(symbol)?.withdrawn, spent(symbol, 'host').toString())
  })

  test('a client whose owner capped other currencies pays in none that is not named', async () => {
    const careful = (await world.open('careful', 'node', 5, { 'client.depositCap': '1ETH', 'client.maxPrice': null }))
      .api
    const failure = await fails(
      'price_cap',
      careful.client.run(tasks.MUSD.cid, input, { maxSeconds: 10 }, quiet, signal),
    )
    assert.match(failure.message, /client\.depositCap says nothing of MUSD/)
    assert.match(failure.cure ?? '', /add an amount in MUSD/)
    assert.deepEqual(await careful.money.channels(signal), [])
  })

  test('a host that would take a currency without a cap on what it may be owed does not start', async () => {
    const tariffs = JSON.stringify([
      { token: tokens.MUSD, perJob: '1', perCpuSecond: '1', perGibSecond: '0', perGpuSecond: '0' },
    ])
    const error = await fails('bad_config', host('careless', 6, { 'host.tariffs': tariffs }))
    assert.match(error.message, /host\.tariffs takes MUSD, and no cap says how much/)
  })

  /** The permits were for the deposits and for nothing more. */
  async function nothingAllowed(symbol: Symbol): Promise<void> {
    const { address } = await client.info()
    const left = await new Token(chain, tokens[symbol]).allowance(address, world.deployment.contracts.channels, signal)
    assert.equal(left, 0n)
  }

  /** Hosts claim when the client has said what it owes exactly, which is a moment after its last job. */
  async function settled(hosts: readonly Hex[]): Promise<Record<Symbol, bigint>> {
    const sums = { ETH: 0n, MUSD: 0n, COIN: 0n }
    for (const node of [broad, narrow]) {
      const { address } = await node.info()
      if (!hosts.includes(address)) continue
      for (let i = 0; i < 100; i++) {
        const { others, ...main } = await node.money.claim({}, signal)
        for (const claimed of [main, ...others])
          for (const symbol of ['ETH', 'MUSD', 'COIN'] as const)
            if (claimed.token === tokens[symbol]) sums[symbol] += BigInt(claimed.host)
        const risk = (await node.host?.status())?.atRisk ?? []
        if (risk.every(({ unclaimed }) => unclaimed === '0')) break
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
    return sums
  }
})

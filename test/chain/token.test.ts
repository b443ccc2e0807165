/**
 * Tokens: channels that open with a permit, the ones that know none, and tokens that lie about themselves. The liars
 * are a few bytes of code put at an address: what they answer is the test's.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { AbiCoder, Interface, Signature, id } from 'ethers'
import { findAnvil } from '../../src/chain/anvil.ts'
import { deployToken } from '../../src/chain/deploy.ts'
import { openChannel, topUpChannel } from '../../src/chain/deposit.ts'
import type { Depositor } from '../../src/chain/deposit.ts'
import { Token } from '../../src/chain/token.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'
import { startMarket } from './market.ts'
import type { Market } from './market.ts'

const skip = findAnvil() === undefined && 'no anvil for this machine'
const DEPLOYER = 9
const CLIENT = 1
const HOST = 2
const STRANGER = 5
let market: Market
let serial = 0

function termsIn(token: Hex): ChannelTerms {
  const client = market.signer(CLIENT).address
  const salt: Hex = `0x${(++serial).toString(16).padStart(64, '0')}`
  return { client, signer: client, host: market.signer(HOST).address, token, closeDelaySeconds: 900, salt }
}

function depositor(): Depositor {
  const { chain, channels } = market
  return { chain, channels, wallet: market.wallet(CLIENT), signer: market.signer(CLIENT) }
}

async function transactionsOf(work: () => Promise<void>): Promise<number> {
  const { address } = market.signer(CLIENT)
  const count = () => market.chain.transactionCount(address, 'latest', market.signal)
  const before = await count()
  await work()
  return (await count()) - before
}

function play(symbol: string, decimals: number): Promise<Hex> {
  const share = { to: market.signer(CLIENT).address, amount: 1_000_000n }
  const token = { name: `Play ${symbol}`, symbol, decimals, supply: 1_000_000n, shares: [share] }
  return deployToken(market.url, market.signer(DEPLOYER), token, { signal: market.signal, pollMs: 20 })
}

/** Code that returns `answers[selector]`, and reverts for every other function. */
function liar(answers: Readonly<Record<string, Hex>>): string {
  const word = (n: number) => n.toString(16).padStart(4, '0')
  const entries = Object.entries(answers).map(([name, data]) => ({
    selector: id(name).slice(2, 10),
    data: data.slice(2),
  }))
  // For each: DUP1 PUSH4 selector EQ PUSH2 target JUMPI (11 bytes); before it the selector is on the stack (6 bytes).
  const head = 6 + 11 * entries.length + 5
  let [code, bodies, offset] = ['60003560e01c', '', head]
  const dataAt = head + entries.length * 16
  let data = ''
  for (const { selector, data: answer } of entries) {
    const size = answer.length / 2
    code += `8063${selector}1461${word(offset)}57`
    // JUMPDEST PUSH2 size PUSH2 from PUSH1 0 CODECOPY PUSH2 size PUSH1 0 RETURN
    bodies += `5b61${word(size)}61${word(dataAt + data.length / 2)}60003961${word(size)}6000f3`
    offset += 16
    data += answer
  }
  return `0x${code}60006000fd${bodies}${data}`
}

const text = (value: string) => AbiCoder.defaultAbiCoder().encode(['string'], [value]) as Hex
const number = (value: bigint) => AbiCoder.defaultAbiCoder().encode(['uint256'], [value]) as Hex

async function lying(answers: Readonly<Record<string, Hex>>): Promise<Token> {
  const address: Hex = `0x${(0xbad000 + ++serial).toString(16).padStart(40, 'd')}`
  await market.rpc('anvil_setCode', address, liar(answers))
  return new Token(market.chain, address)
}

describe('tokens', { skip }, () => {
  before(async () => {
    market = await startMarket()
  })
  after(() => market.close())

  for (const [symbol, decimals] of [
    ['SIX', 6],
    ['ZERO', 0],
    ['WHOLE', 18],
  ] as const)
    test(`a channel in a token with ${decimals} decimals opens in one transaction, with nothing approved before or left after`, async () => {
      const token = await play(symbol, decimals)
      const erc20 = new Token(market.chain, token)
      assert.deepEqual(await erc20.names(market.signal), { symbol, decimals })
      const terms = termsIn(token)
      assert.equal(await transactionsOf(() => openChannel(depositor(), terms, 700n, market.signal)), 1)
      const { state, deposit } = await market.channels.state(market.channels.idOf(terms), market.signal)
      assert.deepEqual({ state, deposit }, { state: 'open', deposit: 700n })
      assert.equal(await erc20.balance(terms.client, market.signal), 999_300n)
      const { channels } = market.deployment.contracts
      assert.equal(await erc20.allowance(terms.client, channels, market.signal), 0n)
    })

  test('more than there is of it is refused before anything is signed or sent', async () => {
    const token = await play('POOR', 6)
    const opening = () => openChannel(depositor(), termsIn(token), 1_000_001n, market.signal)
    const refused = () =>
      assert.rejects(opening, { code: 'insufficient_funds', message: /has 1 POOR .*needed are 1\.000001 POOR/ })
    assert.equal(await transactionsOf(refused), 0)
  })

  test('signatures that somebody sends ahead of us open the very channel, and the deposit is paid once', async () => {
    const token = await play('AHEAD', 6)
    const { chain, channels, wallet, signer } = depositor()
    const terms = termsIn(token)
    const relay = new Proxy(channels, {
      get(target, name) {
        if (name !== 'openWithPermit') return bound(target, name)
        return async (...args: Parameters<typeof channels.openWithPermit>) => {
          const [, ...rest] = args
          await channels.openWithPermit(market.wallet(DEPLOYER), ...rest)
          return channels.openWithPermit(...args)
        }
      },
    })
    await openChannel({ chain, channels: relay, wallet, signer }, terms, 500n, market.signal)
    assert.equal((await channels.state(channels.idOf(terms), market.signal)).deposit, 500n)
    assert.equal(await new Token(chain, token).balance(terms.client, market.signal), 999_500n)
  })

  test('a token that refuses the permit is approved for exactly the deposit', async () => {
    const token = await play('STALE', 6)
    const { signer, ...rest } = depositor()
    // A permit by another key is a permit that the token refuses, as one without permits refuses all.
    const other = { ...signer, address: signer.address, sign: market.signer(DEPLOYER).sign }
    const terms = termsIn(token)
    assert.equal(await transactionsOf(() => openChannel({ ...rest, signer: other }, terms, 500n, market.signal)), 2)
    assert.equal((await market.channels.state(market.channels.idOf(terms), market.signal)).deposit, 500n)
    const { channels } = market.deployment.contracts
    assert.equal(await new Token(market.chain, token).allowance(terms.client, channels, market.signal), 0n)
  })

  async function opened(token: Hex): Promise<ChannelTerms> {
    const terms = termsIn(token)
    await openChannel(depositor(), terms, 500n, market.signal)
    return terms
  }

  async function moneyOf(terms: ChannelTerms) {
    const { chain, channels, signal } = market
    const erc20 = new Token(chain, terms.token)
    return {
      deposit: (await channels.state(channels.idOf(terms), signal)).deposit,
      balance: await erc20.balance(terms.client, signal),
      allowance: await erc20.allowance(terms.client, chain.deployment.contracts.channels, signal),
    }
  }

  test('a channel in a token is topped up in one transaction, with nothing approved before or left after', async () => {
    const terms = await opened(await play('MORE', 6))
    assert.equal(await transactionsOf(() => topUpChannel(depositor(), terms, 70n, market.signal)), 1)
    assert.deepEqual(await moneyOf(terms), { deposit: 570n, balance: 999_430n, allowance: 0n })
  })

  test('a permit for a top-up that somebody sends ahead of us is no loss, and the top-up is paid once', async () => {
    const token = await play('FIRST', 6)
    const terms = await opened(token)
    const { channels, ...rest } = depositor()
    const permit = [
      'function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)',
    ]
    const ahead = new Proxy(channels, {
      get(target, name) {
        if (name !== 'topUpWithPermit') return bound(target, name)
        return async (...args: Parameters<typeof channels.topUpWithPermit>) => {
          const [, { client }, amount, { deadline, signature }] = args
          const { v, r, s } = Signature.from(signature)
          const values = [client, market.deployment.contracts.channels, amount, deadline, v, r, s]
          const data = new Interface(permit).encodeFunctionData('permit', values) as Hex
          await market.wallet(DEPLOYER).send({ to: token, data }, 'permit', market.signal)
          return channels.topUpWithPermit(...args)
        }
      },
    })
    const topUp = () => topUpChannel({ ...rest, channels: ahead }, terms, 70n, market.signal)
    assert.equal(await transactionsOf(topUp), 1)
    assert.deepEqual(await moneyOf(terms), { deposit: 570n, balance: 999_430n, allowance: 0n })
  })

  test('a permit that a stranger takes for a top-up of its own moves nothing', async () => {
    const terms = await opened(await play('THIEF', 6))
    const { chain, channels, signer } = depositor()
    const { channels: address } = chain.deployment.contracts
    const permit = await new Token(chain, terms.token).signPermit(signer, address, 70n, 2n ** 40n, market.signal)
    const stolen = channels.topUpWithPermit(market.wallet(STRANGER), terms, 70n, permit, market.signal)
    await assert.rejects(stolen, { code: 'chain_refused' })
    assert.deepEqual(await moneyOf(terms), { deposit: 500n, balance: 999_500n, allowance: 0n })
  })

  test('a token that refuses the permit at a top-up is approved for exactly the top-up', async () => {
    const terms = await opened(await play('OTHER', 6))
    const { signer, ...rest } = depositor()
    const other = { ...signer, address: signer.address, sign: market.signer(DEPLOYER).sign }
    const topUp = () => topUpChannel({ ...rest, signer: other }, terms, 70n, market.signal)
    assert.equal(await transactionsOf(topUp), 2)
    assert.deepEqual(await moneyOf(terms), { deposit: 570n, balance: 999_430n, allowance: 0n })
  })

  test('a top-up of more than there is, or of a channel that is over, is refused before anything is sent', async () => {
    const terms = await opened(await play('LITTLE', 6))
    const tooMuch = () => topUpChannel(depositor(), terms, 999_501n, market.signal)
    assert.equal(await transactionsOf(() => assert.rejects(tooMuch, { code: 'insufficient_funds' })), 0)
    await market.channels.release(market.wallet(HOST), terms, 0n, `0x${'00'.repeat(64)}1b`, market.signal)
    const late = () => topUpChannel(depositor(), terms, 70n, market.signal)
    const refused = () => assert.rejects(late, { code: 'chain_refused', message: /AlreadyFinished/ })
    assert.equal(await transactionsOf(refused), 0)
    assert.deepEqual(await moneyOf(terms), { deposit: 500n, balance: 1_000_000n, allowance: 0n })
  })

  test('a symbol that could be taken for something else gives way to a part of the address', async () => {
    const symbols = [
      'ETH',
      'eth',
      'wei',
      'gwei',
      '',
      ' ',
      'A B',
      '\u001b[2J',
      'US\u202eD',
      'USD\u20ae',
      '1INCH',
      'x'.repeat(17),
      'x'.repeat(20_000),
      '\u0000',
    ]
    for (const symbol of symbols) {
      const token = await lying({ 'symbol()': text(symbol), 'decimals()': number(6n) })
      const names = await token.names(market.signal)
      assert.match(names.symbol, /^token-[0-9a-f]{8}$/, JSON.stringify(symbol.slice(0, 20)))
    }
    for (const symbol of ['USDC', 'USD.e', 'st_X-1', 'C$'])
      assert.equal(
        (await (await lying({ 'symbol()': text(symbol), 'decimals()': number(6n) })).names(market.signal)).symbol,
        symbol,
      )
  })

  test('a token without usable decimals is no money', async () => {
    for (const decimals of [37n, 255n]) {
      const token = await lying({ 'symbol()': text('BIG'), 'decimals()': number(decimals) })
      await assert.rejects(token.names(market.signal), {
        code: 'bad_config',
        message: new RegExp(`${decimals} decimals`),
      })
    }
    const odd: Record<string, Hex>[] = [
      { 'symbol()': text('NONE') },
      { 'symbol()': text('ODD'), 'decimals()': '0x' },
      { 'decimals()': number(6n) },
      { 'decimals()': number(6n), 'symbol()': `0x${'ff'.repeat(64)}` },
    ]
    for (const answers of odd) await assert.rejects((await lying(answers)).names(market.signal), { code: 'bad_config' })
  })
})

function bound<T extends object>(target: T, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name)
  return typeof value === 'function' ? (value.bind(target) as unknown) : value
}

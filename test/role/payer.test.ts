/** Where a client's money is locked, and what it may promise. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import pino from 'pino'
import { ZERO } from '../../src/core/ledger.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { channelIdOf, makeDomain } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { Budget } from '../../src/role/budget.ts'
import type { ClientComponents } from '../../src/role/client-components.ts'
import { Currencies } from '../../src/role/currencies.ts'
import { Payer } from '../../src/role/payer.ts'
import { failure } from '../support/engine.ts'
import { openBook, word } from './home.ts'

const HOST: Hex = `0x${'01'.repeat(20)}`
const DOMAIN = makeDomain(1, `0x${'cc'.repeat(20)}`)
const { signal } = new AbortController()
const NOBODY: Hex = `0x${'00'.repeat(65)}`
const TOKEN: Hex = `0x${'0a'.repeat(20)}`
const OTHER_TOKEN: Hex = `0x${'0b'.repeat(20)}`
const CURRENCIES = new Currencies([
  { address: TOKEN, symbol: 'MUSD', decimals: 6 },
  { address: OTHER_TOKEN, symbol: 'TOK', decimals: 0 },
  { address: NATIVE, symbol: 'ETH', decimals: 18 },
])

/** A payer over real records and a chain that is a map. */
async function makePayer(t: TestContext, spending: Partial<ClientComponents['spending']> = {}, balance = 10_000n) {
  const { book, store, tables, blobs } = await openBook(t, 'client')
  const deposits = new Map<Hex, bigint>()
  const made = { opened: 0, toppedUp: 0, balance }
  const closed = new Set<Hex>()
  let salt = 0
  const pay = async (id: Hex, amount: bigint): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 20))
    made.balance -= amount
    deposits.set(id, (deposits.get(id) ?? 0n) + amount)
  }
  const components: ClientComponents = {
    domain: DOMAIN,
    signer: makeSigner(Buffer.alloc(32, 1)),
    peerId: 'none',
    store,
    book,
    tables,
    blobs,
    link: { openJobs: unused, put: unused, get: unused },
    chain: {
      state: (id) =>
        Promise.resolve({ deposit: deposits.get(id) ?? 0n, claimed: 0n, closesAt: 0, closed: closed.has(id) }),
      open: (terms, amount) => pay(channelIdOf(DOMAIN, terms), amount).then(() => void made.opened++),
      settle: () => Promise.resolve(),
      topUp: (terms, amount) => pay(channelIdOf(DOMAIN, terms), amount).then(() => void made.toppedUp++),
      balance: () => Promise.resolve(made.balance),
    },
    spending: {
      depositJobs: 10,
      depositCap: new Map([
        [TOKEN, 1000n],
        [NATIVE, 1000n],
      ]),
      closeDelaySeconds: 900,
      perDayCap: undefined,
      perHostCap: undefined,
      ...spending,
    },
    currencies: CURRENCIES,
    randomSalt: () => word(++salt),
    maxOutputBytes: 1,
    log: pino({ level: 'silent' }),
    signal,
    onLateLog: () => undefined,
    wallNow: () => 1,
  }
  return { payer: new Payer(components), book, made, deposits, closed }
}

function unused(): Promise<never> {
  return Promise.reject(new Error('a payer speaks to no host'))
}

test('eight first jobs at once open one channel, which holds the price of ten', async (t) => {
  const { payer, made, book } = await makePayer(t)
  const rooms = await Promise.all(Array.from({ length: 8 }, () => payer.room(HOST, TOKEN, 10n, signal)))
  assert.equal(new Set(rooms.map(({ channel }) => channel.channelId)).size, 1)
  assert.deepEqual(made, { opened: 1, toppedUp: 0, balance: 9900n })
  assert.equal([...book.channels.values()][0]?.deposit, 100n)
})

test('rooms promised and not used are not promised twice; a full channel is topped up', async (t) => {
  const { payer, made } = await makePayer(t, { depositJobs: 2 })
  const rooms = await Promise.all(Array.from({ length: 2 }, () => payer.room(HOST, TOKEN, 10n, signal)))
  await payer.room(HOST, TOKEN, 10n, signal)
  assert.deepEqual([made.opened, made.toppedUp], [1, 1])
  for (const room of rooms) room.release()
  for (const room of rooms) room.release()
  await Promise.all(Array.from({ length: 3 }, () => payer.room(HOST, TOKEN, 10n, signal)))
  assert.equal(made.toppedUp, 1)
  await payer.room(HOST, TOKEN, 10n, signal)
  assert.equal(made.toppedUp, 2)
})

test('the cap, an empty wallet and gas for leaving: each refused with its numbers, nothing opened', async (t) => {
  const { payer, made } = await makePayer(t, {}, 50n)
  assert.match(
    (await failure('price_cap', payer.room(HOST, TOKEN, 1001n, signal))).message,
    /can cost 0\.001001 MUSD, the cap on a deposit is 0\.001 MUSD/,
  )
  assert.match(
    (await failure('insufficient_funds', payer.room(HOST, TOKEN, 51n, signal))).message,
    /has 0\.00005 MUSD, the job needs 0\.000051 MUSD/,
  )
  assert.match((await failure('insufficient_funds', payer.room(HOST, NATIVE, 10n, signal))).message, /and some gas/)
  assert.equal(made.opened, 0)
  const { channel } = await payer.room(HOST, TOKEN, 40n, signal)
  assert.equal(channel.deposit, 50n, 'what there is, where it pays the job')
})

test('an opening that fails is told to its caller, and the next one tries anew', async (t) => {
  const { payer, made } = await makePayer(t, {}, 5n)
  const both = await Promise.allSettled([payer.room(HOST, TOKEN, 10n, signal), payer.room(HOST, TOKEN, 5n, signal)])
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'fulfilled'],
  )
  assert.equal(made.opened, 1)
})

test('what a job would lock is told before: a deposit for a first job, nothing while there is room, then a top-up', async (t) => {
  const { payer, made } = await makePayer(t)
  assert.deepEqual(payer.plan(HOST, TOKEN, 10n), { how: 'open', amount: 100n })
  const { channel } = await payer.room(HOST, TOKEN, 10n, signal)
  assert.equal(channel.deposit, 100n)
  assert.deepEqual(payer.plan(HOST, TOKEN, 90n), { how: 'none', amount: 0n })
  assert.deepEqual(payer.plan(HOST, TOKEN, 91n), { how: 'top-up', amount: 910n })
  assert.throws(() => payer.plan(HOST, TOKEN, 1001n), { code: 'price_cap' })
  assert.deepEqual([made.opened, made.toppedUp], [1, 0])
})

test('a channel that was retired pays nothing any more', async (t) => {
  const { payer, made } = await makePayer(t)
  const { channel } = await payer.room(HOST, TOKEN, 10n, signal)
  await payer.retire(channel)
  const other = await payer.room(HOST, TOKEN, 10n, signal)
  assert.notEqual(other.channel.channelId, channel.channelId)
  assert.equal(made.opened, 2)
})

test('a deposit that was hidden for a moment hinders nobody once its channel has ended', async (t) => {
  const { payer, book, made, deposits, closed } = await makePayer(t)
  const { channel } = await payer.room(HOST, TOKEN, 10n, signal)
  const { channelId } = channel
  const paid = { jobs: 1, hostAmount: 5n, developerAmount: 0n }
  const taskId = word(99)
  const cid = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
  const [sums, vouchedSignature] = [{ vouched: paid, billed: paid, reserved: ZERO, claimed: ZERO }, NOBODY]
  book.stageRow({ channelId, taskId, cid, ...sums, vouchedSignature })
  deposits.set(channelId, 0n)
  assert.equal((await payer.refresh(channel, signal)).state, 'opening')
  deposits.set(channelId, 100n)
  closed.add(channelId)
  const other = await payer.room(HOST, TOKEN, 10n, signal)
  assert.notEqual(other.channel.channelId, channelId)
  assert.equal(made.opened, 2)
})

test('a cap that does not name a currency allows nothing in it', async (t) => {
  const { payer, made } = await makePayer(t)
  await assert.rejects(payer.room(HOST, OTHER_TOKEN, 10n, signal), {
    code: 'price_cap',
    message: /says nothing of TOK/,
  })
  assert.equal(made.opened, 0)
  const budget = new Budget({ perDayCap: new Map([[TOKEN, 100n]]), perHostCap: undefined }, CURRENCIES)
  budget.promise(HOST, TOKEN, 100n, 0)
  assert.throws(() => budget.promise(HOST, OTHER_TOKEN, 1n, 0), /client\.perDayCap says nothing of TOK/)
})

test('the caps of a day and of a host hold in each currency whatever is promised and billed, in any order', () => {
  const job = fc.record({
    host: fc.constantFrom(HOST, TOKEN),
    token: fc.constantFrom(TOKEN, OTHER_TOKEN),
    price: fc.bigInt({ min: 1n, max: 60n }),
    bill: fc.nat(100),
    hours: fc.nat(10),
  })
  fc.assert(
    fc.property(fc.array(job, { maxLength: 60 }), (jobs) => {
      const caps = (amount: bigint) => new Map([TOKEN, OTHER_TOKEN].map((token) => [token, amount]))
      const budget = new Budget({ perDayCap: caps(100n), perHostCap: caps(250n) }, CURRENCIES)
      const spent = { day: 0, today: new Map<Hex, bigint>(), by: new Map<string, bigint>() }
      let now = 0
      for (const { host, token, price, bill, hours } of jobs) {
        now += hours * 3_600_000
        const day = Math.floor(now / 86_400_000)
        if (day !== spent.day) Object.assign(spent, { day, today: new Map() })
        const [today, by] = [spent.today.get(token) ?? 0n, spent.by.get(host + token) ?? 0n]
        const fits = today + price <= 100n && by + price <= 250n
        const promise = () => budget.promise(host, token, price, now)
        if (!fits) {
          assert.throws(promise, /The cap for one/)
          continue
        }
        const billed = (price * BigInt(bill)) / 100n
        promise()(billed)
        spent.today.set(token, today + billed)
        spent.by.set(host + token, by + billed)
      }
    }),
  )
})

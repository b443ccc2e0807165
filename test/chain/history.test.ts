/** The contract's logs, read from a real chain, also where the endpoint serves narrow ranges only. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { Chain } from '../../src/chain/chain.ts'
import { History } from '../../src/chain/history.ts'
import { voucherDigest } from '../../src/core/typed.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { startMarket } from './market.ts'
import type { Market } from './market.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [DEVELOPER, HOST, CLIENT, OTHER] = [1, 2, 3, 4]
const word = (n: number): Hex => `0x${n.toString(16).padStart(64, '0')}`

let market: Market
let history: History
let terms: ChannelTerms[]
const task = word(77)

before(async () => {
  if (skip !== false) return
  market = await startMarket()
  history = new History(market.chain)
  const { signal, tasks, channels } = market
  const payee = market.signer(DEVELOPER).address
  const entry = { taskId: task, fee: 3n, token: NATIVE, payee, name: 'told', version: '1.0' }
  await tasks.publish(market.wallet(DEVELOPER), entry, signal)
  terms = [CLIENT, CLIENT, OTHER].map((client, i) => ({
    client: market.signer(client).address,
    signer: market.signer(client).address,
    host: market.signer(HOST).address,
    token: NATIVE,
    closeDelaySeconds: 900,
    salt: word(i + 1),
  }))
  for (const t of terms)
    await channels.open(market.wallet(t.client === market.signer(CLIENT).address ? CLIENT : OTHER), t, 1000n, signal)
})

after(async () => {
  if (skip === false) await market.close()
})

const idOf = (t: ChannelTerms | undefined): Hex => {
  assert.ok(t)
  return market.channels.idOf(t)
}

async function claim(t: ChannelTerms, signer: number, jobs: number, hostAmount: bigint): Promise<void> {
  const channelId = idOf(t)
  const voucher = { taskId: task, jobs, hostAmount, developerAmount: 3n * BigInt(jobs) }
  const signature = market.signer(signer).sign(voucherDigest(market.chain.domain, { channelId, ...voucher }))
  await market.channels.claim(market.wallet(HOST), [{ terms: t, rows: [{ ...voucher, signature }] }], market.signal)
}

test('channels are found by their client and by their host, with terms that hash to their id', { skip }, async () => {
  const { signal } = market
  const own = await history.opened('client', market.signer(CLIENT).address, signal)
  assert.deepEqual(own.map(({ channelId }) => channelId).sort(), [idOf(terms[0]), idOf(terms[1])].sort())
  assert.deepEqual(own.find(({ channelId }) => channelId === idOf(terms[0]))?.terms, terms[0])
  assert.equal((await history.opened('host', market.signer(HOST).address, signal)).length, 3)
  assert.deepEqual(await history.opened('host', market.signer(CLIENT).address, signal), [])
})

test('claims, withdrawals and refunds are found with their times', { skip }, async () => {
  const { signal, channels } = market
  const [first, , third] = terms
  assert.ok(first && third)
  await claim(first, CLIENT, 2, 100n)
  await claim(third, OTHER, 1, 40n)
  const all = await history.claimed(undefined, signal)
  assert.deepEqual(
    all.map(({ channelId, hostPaid, developerPaid }) => [channelId, hostPaid, developerPaid]),
    [
      [idOf(first), 100n, 6n],
      [idOf(third), 40n, 3n],
    ],
  )
  const now = (await market.chain.block(signal)).timestamp * 1000
  assert.ok(all.every(({ at }) => at > 0 && at <= now))
  const ofOne = await history.claimed([idOf(third)], signal)
  assert.deepEqual(
    ofOne.map(({ hostPaid }) => hostPaid),
    [40n],
  )
  await channels.withdraw(market.wallet(OTHER), NATIVE, market.signer(HOST).address, signal)
  await channels.withdrawTasks(market.wallet(HOST), NATIVE, market.signer(DEVELOPER).address, [task], signal)
  const sums = (events: readonly { amount: bigint }[]) => events.map(({ amount }) => amount)
  assert.deepEqual(sums(await history.withdrawn(market.signer(HOST).address, signal)), [140n])
  assert.deepEqual(sums(await history.tasksWithdrawn(market.signer(DEVELOPER).address, signal)), [9n])
  await channels.startClose(market.wallet(OTHER), third, signal)
  await market.later(901)
  await channels.finishClose(market.wallet(OTHER), third, signal)
  const refunds = await history.refunded([idOf(third)], signal)
  assert.deepEqual(
    refunds.map(({ refund, sent }) => [refund, sent]),
    [[957n, true]],
  )
})

test(
  'an endpoint that serves two blocks at a time is asked in halves; one that serves none ends it',
  { skip },
  async () => {
    const narrow = await proxy(2)
    const asked = new History(new Chain(narrow.url, market.deployment))
    const whole = await history.opened('host', market.signer(HOST).address, market.signal)
    assert.deepEqual(await asked.opened('host', market.signer(HOST).address, market.signal), whole)
    assert.ok(narrow.refused() > 3)
    narrow.server.close()
    const none = await proxy(0)
    const mute = new History(new Chain(none.url, market.deployment))
    await assert.rejects(mute.opened('host', market.signer(HOST).address, market.signal), { code: 'chain_refused' })
    none.server.close()
  },
)

/** The market's endpoint, but for logs over more blocks than `width`. */
async function proxy(width: number): Promise<{ url: string; server: Server; refused(): number }> {
  let refused = 0
  const server = createServer((req, res) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk)
      const body = Buffer.concat(chunks).toString('utf8')
      const { id, method, params } = JSON.parse(body) as {
        id: number
        method: string
        params: [Record<string, string>]
      }
      const blocks = Number(params[0]?.['toBlock']) - Number(params[0]?.['fromBlock']) + 1
      if (method === 'eth_getLogs' && blocks > width) {
        refused++
        res.end(JSON.stringify({ id, error: { code: -32000, message: 'block range is too wide' } }))
        return
      }
      const answer = await fetch(market.url, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
      res.end(await answer.text())
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, server, refused: () => refused }
}

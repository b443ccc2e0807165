/**
 * A client that floods a host with forged vouchers, as a process of its own: it says a proper hello for a channel that it
 * paid for, sends messages full of vouchers signed by another key, and comes back as a new peer each time it is thrown
 * out. Its orders come as the first argument; what it did stands on its last line.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { makeSigner } from '../../src/core/signature.ts'
import { channelIdOf, fromHex, makeDomain, sessionDigest, voucherDigest } from '../../src/core/typed.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'
import { FRAME, toWire } from '../../src/core/wire.ts'
import type { FrameStream } from '../../src/p2p/frames.ts'
import { generateIdentity } from '../../src/p2p/identity.ts'
import { openJobs } from '../../src/p2p/jobs.ts'
import { createPeer } from '../../src/p2p/peer.ts'
import type { Peer } from '../../src/p2p/peer.ts'

export type Orders = {
  chainId: number
  channels: Hex
  addresses: string[]
  hostPeer: string
  privateKey: Hex
  /** One channel after the other: a host locks out the one that floods it. */
  terms: ChannelTerms[]
  tasks: { cid: string; taskId: Hex }[]
  /** A job that the host would take; only its id and task are replaced. */
  job: Record<string, unknown>
  seconds: number
  vouchersPerSecond: number
}
export type Done = { vouchers: number; messages: number; thrownOut: number; notLetIn: number }

const SLICE_MS = 20
const PATIENCE_MS = 5_000

async function flood(orders: Orders): Promise<Done> {
  const done: Done = { vouchers: 0, messages: 0, thrownOut: 0, notLetIn: 0 }
  const end = performance.now() + orders.seconds * 1000
  for (let round = 0; performance.now() < end; round++) {
    const terms = orders.terms[round % orders.terms.length]
    if (terms === undefined) throw new Error('a flood without a channel')
    const peer = await createPeer({ identity: await generateIdentity() })
    try {
      await floodAs(peer, terms, orders, end, done)
    } catch {
      // Not let in: the host takes only so many connections a second from one address.
      done.notLetIn++
      await sleep(50)
    } finally {
      await peer.close()
    }
  }
  return done
}

async function floodAs(peer: Peer, terms: ChannelTerms, orders: Orders, end: number, done: Done): Promise<void> {
  const stream = await openJobs(peer, orders.addresses, AbortSignal.timeout(PATIENCE_MS))
  let isOpen = true
  void stream.closed.then(() => (isOpen = false))
  void drain(stream)
  const domain = makeDomain(orders.chainId, orders.channels)
  const channelId = channelIdOf(domain, terms)
  const issuedAt = Date.now()
  const digest = sessionDigest(domain, { channelId, clientPeer: peer.peerId, hostPeer: orders.hostPeer, issuedAt })
  const send = (type: number, message: unknown, attachments: readonly Uint8Array[] = []) =>
    stream.send(type, toWire(message) as Record<string, unknown>, attachments).catch(() => (isOpen = false))
  await send(FRAME.hello, { terms, issuedAt, signature: makeSigner(fromHex(orders.privateKey)).sign(digest) })
  const startedAt = performance.now()
  let sent = 0
  while (isOpen && performance.now() < end) {
    const owed = ((performance.now() - startedAt) / 1000) * orders.vouchersPerSecond
    for (; isOpen && sent < owed; sent += orders.tasks.length) {
      const message = forged(orders, domain, channelId, done.messages++)
      await send(FRAME.submit, message, [Buffer.from('x')])
      done.vouchers += orders.tasks.length
    }
    await sleep(SLICE_MS)
  }
  if (!isOpen) done.thrownOut++
}

const WRONG_KEY = makeSigner(Buffer.alloc(32, 7))

/** Sums that fit the deposit and cover the fee, so that only the signature is wrong. */
function forged({ tasks, job }: Orders, domain: ReturnType<typeof makeDomain>, channelId: Hex, count: number) {
  const vouchers = tasks.map(({ taskId }) => {
    const totals = { jobs: 1, hostAmount: 10n ** 9n + BigInt(count), developerAmount: 10n ** 9n }
    return { taskId, ...totals, signature: WRONG_KEY.sign(voucherDigest(domain, { channelId, taskId, ...totals })) }
  })
  const jobs = tasks.map(({ cid }, i) => ({ ...job, id: `flood-${process.pid}-${count}-${i}`, task: cid }))
  return { channelId, vouchers, jobs }
}

async function drain(stream: FrameStream): Promise<void> {
  try {
    for await (const frame of stream) void frame
  } catch {
    // Thrown out, which `closed` says too.
  }
}

process.stdout.write(`${JSON.stringify(await flood(JSON.parse(process.argv[2] ?? '{}') as Orders))}\n`)
process.exit(0)

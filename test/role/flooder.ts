/**
 * A client that floods a host with forged vouchers, as a process of its own: it says a proper hello for a channel that it
 * paid for, sends messages full of vouchers signed by another key, and comes back as a new peer each time it is thrown
 * out. Forging is done beforehand and several peers come at once, so that what is measured is the host and not this
 * process. Its orders come as the first argument; what it did stands on its last line.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { makeSigner } from '../../src/core/signature.ts'
import { channelIdOf, fromHex, makeDomain, sessionDigest, voucherDigest } from '../../src/core/typed.ts'
import type { ChannelTerms, Domain } from '../../src/core/typed.ts'
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

type Forged = { terms: ChannelTerms; messages: Record<string, unknown>[] }
type Pace = { end: number; owed(): number }

/** Peers at a time: making one and getting in takes longer than being thrown out. */
const AT_ONCE = 4
/** More than a host takes from one peer. */
const MESSAGES = 64
const SLICE_MS = 5
const PATIENCE_MS = 5_000

async function flood(orders: Orders): Promise<Done> {
  const done: Done = { vouchers: 0, messages: 0, thrownOut: 0, notLetIn: 0 }
  const loot = forgedFor(orders)
  const startedAt = performance.now()
  const pace = {
    end: startedAt + orders.seconds * 1000,
    owed: () => ((performance.now() - startedAt) / 1000) * orders.vouchersPerSecond,
  }
  let rounds = 0
  const keepComing = async () => {
    while (performance.now() < pace.end) {
      const forged = loot[rounds++ % loot.length]
      if (forged !== undefined) await comeOnce(orders, forged, pace, done)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, keepComing))
  return done
}

async function comeOnce(orders: Orders, forged: Forged, pace: Pace, done: Done): Promise<void> {
  const peer = await createPeer({ identity: await generateIdentity() })
  try {
    await floodAs(peer, orders, forged, pace, done)
  } catch {
    // Not let in: the host takes only so many connections a second from one address.
    done.notLetIn++
    await sleep(50)
  } finally {
    await peer.close()
  }
}

async function floodAs(peer: Peer, orders: Orders, { terms, messages }: Forged, pace: Pace, done: Done): Promise<void> {
  const stream = await openJobs(peer, orders.addresses, AbortSignal.timeout(PATIENCE_MS))
  let isOpen = true
  void stream.closed.then(() => (isOpen = false))
  void drain(stream)
  const domain = makeDomain(orders.chainId, orders.channels)
  const channelId = channelIdOf(domain, terms)
  const issuedAt = Date.now()
  const digest = sessionDigest(domain, { channelId, clientPeer: peer.peerId, hostPeer: orders.hostPeer, issuedAt })
  const send = (type: number, message: Record<string, unknown>, attachments: readonly Uint8Array[] = []) =>
    stream.send(type, message, attachments).catch(() => (isOpen = false))
  await send(FRAME.hello, { terms, issuedAt, signature: makeSigner(fromHex(orders.privateKey)).sign(digest) })
  for (let i = 0; isOpen && performance.now() < pace.end; i++) {
    const message = messages[i % messages.length]
    if (message === undefined) throw new Error('a flood without a message')
    while (isOpen && done.vouchers >= pace.owed()) await sleep(SLICE_MS)
    if (!isOpen) break
    await send(FRAME.submit, message, [Buffer.from('x')])
    done.messages++
    done.vouchers += orders.tasks.length
  }
  if (!isOpen) done.thrownOut++
}

/** Of each channel, more than a host takes from one peer, so that no message is sent twice over one stream. */
function forgedFor(orders: Orders): Forged[] {
  const domain = makeDomain(orders.chainId, orders.channels)
  return orders.terms.map((terms) => {
    const channelId = channelIdOf(domain, terms)
    return { terms, messages: Array.from({ length: MESSAGES }, (_, i) => forge(orders, domain, channelId, i)) }
  })
}

const WRONG_KEY = makeSigner(Buffer.alloc(32, 7))

/** Sums that fit the deposit and cover the fee, so that only the signature is wrong. */
function forge({ tasks, job }: Orders, domain: Domain, channelId: Hex, count: number): Record<string, unknown> {
  const vouchers = tasks.map(({ taskId }) => {
    const totals = { jobs: 1, hostAmount: 10n ** 9n + BigInt(count), developerAmount: 10n ** 9n }
    return { taskId, ...totals, signature: WRONG_KEY.sign(voucherDigest(domain, { channelId, taskId, ...totals })) }
  })
  const jobs = tasks.map(({ cid }, i) => ({ ...job, id: `flood-${process.pid}-${count}-${i}`, task: cid }))
  return toWire({ channelId, vouchers, jobs }) as Record<string, unknown>
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

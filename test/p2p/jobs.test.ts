import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MecaError } from '../../src/core/errors.ts'
import { openJobs, serveJobs } from '../../src/p2p/jobs.ts'
import { JOBS } from '../../src/p2p/limits.ts'
import { errorOf, eventually, forMs, startOther, startPeer } from './support.ts'

test('many jobs go over one stream, answered in any order', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  const clients: string[] = []
  await serveJobs(host, async (stream, { peerId }) => {
    clients.push(peerId)
    for await (const { header, attachments } of stream) {
      setTimeout(() => void stream.send(2, { job: header.job }, attachments), (7 - Number(header.job)) * 10)
    }
  })
  const stream = await openJobs(client, host.addrs(), forMs(30_000))
  for (let job = 0; job < 7; job++) await stream.send(1, { job }, [Buffer.from(`input ${job}`)])
  const answers: unknown[] = []
  while (answers.length < 7) answers.push((await stream.next())?.header.job)
  assert.deepEqual(answers, [6, 5, 4, 3, 2, 1, 0])
  assert.deepEqual(clients, [client.peerId])
})

test('a peer may have a few streams, over several connections too; another peer is not affected', async (t) => {
  const [client, other, host] = await Promise.all([startPeer(t), startPeer(t), startPeer(t)])
  await serveJobs(host, async (stream) => {
    for await (const frame of stream) await stream.send(2, frame.header)
  })
  const second = await client.libp2p.dial((await client.dial(host.addrs(), forMs(30_000))).remoteAddr, { force: true })
  const streams = await Promise.all(
    Array.from({ length: JOBS.maxStreamsPerPeer }, () => openJobs(client, host.addrs(), forMs(30_000))),
  )
  for (const s of streams) {
    await s.send(1, { n: 1 })
    assert.equal((await s.next())?.header.n, 1)
  }
  const extra = await second.newStream('/meca/job/1')
  await eventually('the extra stream is reset', () => extra.status === 'reset')
  const free = await openJobs(other, host.addrs(), forMs(30_000))
  await free.send(1, { n: 2 })
  assert.equal((await free.next())?.header.n, 2)
})

test('a stream that ended makes room for a new one', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await serveJobs(host, async (stream) => {
    for await (const frame of stream) await stream.send(2, frame.header)
  })
  for (let round = 0; round < JOBS.maxStreamsPerPeer * 3; round++) {
    const stream = await openJobs(client, host.addrs(), forMs(30_000))
    await stream.send(1, { round })
    assert.equal((await stream.next())?.header.round, round)
    await stream.close()
    assert.equal(await stream.closed, undefined)
  }
})

test('a handler that fails resets its stream and harms no other', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await serveJobs(host, async (stream) => {
    const frame = await stream.next()
    if (frame?.header.bad === true) throw new MecaError('protocol', 'no such message')
    await stream.send(2, { good: true })
  })
  const [bad, good] = await Promise.all([
    openJobs(client, host.addrs(), forMs(30_000)),
    openJobs(client, host.addrs(), forMs(30_000)),
  ])
  await bad.send(1, { bad: true })
  assert.equal((await errorOf(bad.next())).code, 'peer_unreachable')
  await good.send(1, {})
  assert.equal((await good.next())?.header.good, true)
})

test('when the host dies `closed` tells, and a new stream reaches the host that took its place', async (t) => {
  const client = await startPeer(t)
  const first = await startOther(t, 'jobs')
  const stream = await openJobs(client, first.addrs, forMs(30_000))
  await stream.send(1, { n: 1 })
  assert.equal((await stream.next())?.header.n, 1)
  first.child.kill('SIGKILL')
  assert.equal((await stream.closed)?.code, 'peer_unreachable')
  assert.equal((await errorOf(openJobs(client, first.addrs, forMs(2_000)))).code, 'peer_unreachable')
  const second = await startOther(t, 'jobs')
  const again = await openJobs(client, second.addrs, forMs(30_000))
  await again.send(1, { n: 2 })
  assert.equal((await again.next())?.header.n, 2)
})

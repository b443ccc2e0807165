import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { MecaError } from '../../src/core/errors.ts'
import { generateIdentity, loadIdentity, peerIdOf } from '../../src/p2p/identity.ts'
import { CONNECTION, DATA, JOBS, offersTopic, PROTOCOLS, STREAM } from '../../src/p2p/limits.ts'
import { errorOf, eventually, forMs, startOther, startPeer } from './support.ts'

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-p2p-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('an identity is made once, readable by its owner alone, and stays the same', async (t) => {
  const file = join(await tempFolder(t), 'peer.key')
  const made = await loadIdentity(file)
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  assert.deepEqual(Buffer.from(await loadIdentity(file)), Buffer.from(made))
  const peer = await startPeer(t, { identity: made })
  assert.equal(peer.peerId, peerIdOf(made))
  assert.ok(peer.addrs().every((a) => a.endsWith(`/p2p/${peer.peerId}`)))
})

test('a damaged identity stops the start, names the file and is not overwritten', async (t) => {
  const file = join(await tempFolder(t), 'peer.key')
  await writeFile(file, 'not a key')
  const error = await errorOf(loadIdentity(file))
  assert.equal(error.code, 'home_unreadable')
  assert.ok(error.message.includes(file))
  assert.equal(await readFile(file, 'utf8'), 'not a key')
})

test('connections are encrypted by TLS and muxed by yamux; a second dial gives the same one', async (t) => {
  const [a, b] = await Promise.all([startPeer(t), startPeer(t)])
  const connection = await a.dial(b.addrs(), forMs(30_000))
  assert.equal(connection.encryption, '/tls/1.0.0')
  assert.equal(connection.multiplexer, '/yamux/1.0.0')
  assert.equal(await a.dial(b.peerId, forMs(30_000)), connection)
})

test('another peer behind the address than the one named is not accepted', async (t) => {
  const [a, b] = await Promise.all([startPeer(t), startPeer(t)])
  const wrong = b.addrs()[0]?.replace(b.peerId, peerIdOf(await generateIdentity())) ?? ''
  assert.equal((await errorOf(a.dial(wrong, forMs(30_000)))).code, 'peer_unreachable')
})

test('a listed peer cannot connect, and is not dialled', async (t) => {
  const stranger = await startPeer(t)
  const host = await startPeer(t, { deny: [stranger.peerId] })
  await stranger.dial(host.addrs(), forMs(30_000)).catch(() => undefined)
  await eventually(
    'no connection stays',
    () => host.libp2p.getConnections().length + stranger.libp2p.getConnections().length === 0,
  )
  assert.equal((await errorOf(host.dial(stranger.addrs(), forMs(30_000)))).code, 'peer_unreachable')
})

test('a banned peer loses its connections and cannot come back', async (t) => {
  const [rogue, host] = await Promise.all([startPeer(t), startPeer(t)])
  await rogue.dial(host.addrs(), forMs(30_000))
  await eventually('it is connected', () => host.libp2p.getConnections().length === 1)
  host.ban(rogue.peerId)
  await eventually('it is gone', () => host.libp2p.getConnections().length === 0)
  await rogue.dial(host.addrs(), forMs(30_000)).catch(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.equal(host.libp2p.getConnections().length, 0)
})

test('a bootstrap peer is connected at start; two strangers find each other over the DHT', async (t) => {
  const hub = await startPeer(t, { dht: 'server' })
  const [a, b] = await Promise.all([
    startPeer(t, { dht: 'server', bootstrap: hub.addrs() }),
    startPeer(t, { dht: 'server', bootstrap: hub.addrs() }),
  ])
  await eventually('both are connected to the hub', () => hub.libp2p.getConnections().length >= 2)
  assert.equal(a.libp2p.getConnections(b.libp2p.peerId).length, 0)
  let found = false
  await eventually('a finds b by its id alone', () => {
    void a.dial(b.peerId, forMs(2_000)).then(
      () => (found = true),
      () => undefined,
    )
    return found
  })
})

test('one connection may carry so many streams and no more', async (t) => {
  const [rogue, host] = await Promise.all([startPeer(t), startPeer(t)])
  await host.libp2p.handle('/test/held/1', () => undefined, { maxInboundStreams: 1_000 })
  const connection = await rogue.dial(host.addrs(), forMs(30_000))
  const opened = await Promise.allSettled(
    Array.from({ length: CONNECTION.maxStreams * 2 }, () =>
      connection.newStream('/test/held/1', { maxOutboundStreams: 1_000, signal: forMs(2_000) }),
    ),
  )
  const held = host.libp2p
    .getConnections()
    .flatMap((c) => c.streams)
    .filter((s) => s.direction === 'inbound')
  assert.ok(opened.some((o) => o.status === 'rejected'))
  assert.ok(held.length <= CONNECTION.maxStreams, `${held.length} streams`)
})

test('one peer may have a few connections and no more', async (t) => {
  const [rogue, host] = await Promise.all([startPeer(t), startPeer(t)])
  const address = (await rogue.dial(host.addrs(), forMs(30_000))).remoteAddr
  for (let n = 0; n < 8; n++) await rogue.libp2p.dial(address, { force: true }).catch(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.equal(host.libp2p.getConnections().length, CONNECTION.maxPerPeer)
})

test('an address from a stranger is judged by where we live', async (t) => {
  const [local, open] = await Promise.all([startPeer(t), startPeer(t, { allowLoopback: false })])
  const judge = (address: string): boolean[] => [local.mayDial(address), open.mayDial(address)]
  assert.deepEqual(judge('/ip4/127.0.0.1/tcp/8545'), [true, false])
  assert.deepEqual(judge('/ip4/8.8.8.8/tcp/4001'), [true, true])
  assert.deepEqual(judge('http://127.0.0.1:8545'), [false, false])
})

test('a dial that is cancelled ends at once', async (t) => {
  const peer = await startPeer(t)
  const stop = AbortSignal.abort()
  const error = (await errorOf(
    peer.dial('/ip4/127.0.0.1/tcp/9/p2p/' + peerIdOf(await generateIdentity()), stop),
  )) as MecaError
  assert.equal(error.code, 'cancelled')
})

test('peers that fill every stream they may have, against a host that reads none, cost it bounded memory', async (t) => {
  const other = await startOther(t, 'deaf')
  const rss = async (): Promise<number> =>
    Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${other.child.pid}/status`, 'utf8'))?.[1]) / 1024
  const before = await rss()
  const share = { [PROTOCOLS.job]: JOBS.maxStreamsPerPeer, [PROTOCOLS.data]: DATA.maxStreamsPerPeer }
  let held = 0
  for (let n = 0; n < 3; n++) {
    const rogue = await startPeer(t)
    const connection = await rogue.dial(other.addrs, forMs(30_000))
    for (const [protocol, streams] of Object.entries(share)) {
      for (let s = 0; s < streams; s++, held++) {
        const stream = await connection.newStream(protocol)
        for (let mib = 0; mib < 8; mib++) stream.send(Buffer.alloc(1024 ** 2))
      }
    }
  }
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  const grown = (await rss()) - before
  const ceiling = (held * (STREAM.pauseAboveBytes + STREAM.windowBytes)) / 1024 ** 2 + 64
  t.diagnostic(`${held} streams held: +${grown.toFixed(0)} MiB, ceiling ${ceiling.toFixed(0)} MiB`)
  assert.ok(grown <= ceiling)
})

test('a peer at rest stays below 150 MiB, with gossip, DHT and relay', async (t) => {
  const other = await startOther(t, 'rest', offersTopic(1, '0x00'))
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  const status = await readFile(`/proc/${other.child.pid}/status`, 'utf8')
  const mib = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
  t.diagnostic(`${mib.toFixed(0)} MiB`)
  assert.ok(mib < 150, `${mib} MiB`)
})

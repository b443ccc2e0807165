/** A Docker daemon that can go away or be slow without taking the real one along: a socket in front of it. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Transform } from 'node:stream'

export type FragileDaemon = { path: string; die: () => void; comeBack: () => Promise<void>; close: () => Promise<void> }

/** With `newsLateMs` the ends of containers are told that much later. */
export async function fragileDaemon(newsLateMs = 0): Promise<FragileDaemon> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-daemon-'))
  const path = join(folder, `${randomBytes(4).toString('hex')}.sock`)
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const daemon = connect({ path: '/var/run/docker.sock', allowHalfOpen: true })
    for (const [a, b] of [
      [client, daemon],
      [daemon, client],
    ] as const) {
      open.add(a)
      a.on('error', () => b.destroy()).on('close', () => open.delete(a))
    }
    let lateMs = 0
    client
      .on('data', (chunk: Buffer) => {
        if (chunk.includes('/wait?')) lateMs = newsLateMs
      })
      .pipe(daemon)
    daemon.pipe(late(() => lateMs)).pipe(client)
  })
  const comeBack = async () => {
    server.listen(path)
    await once(server, 'listening')
  }
  await comeBack()
  const die = () => {
    server.close()
    for (const socket of open) socket.destroy()
  }
  const close = async () => {
    die()
    await rm(folder, { recursive: true, force: true })
  }
  return { path, die, comeBack, close }
}

function late(byMs: () => number): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      setTimeout(() => done(null, chunk), byMs())
    },
  })
}

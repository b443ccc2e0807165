/** A Docker daemon that can go away without taking the real one along: a socket in front of it. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type FragileDaemon = { path: string; die: () => void; close: () => Promise<void> }

export async function fragileDaemon(): Promise<FragileDaemon> {
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
      a.on('error', () => b.destroy())
        .on('close', () => open.delete(a))
        .pipe(b)
    }
  })
  server.listen(path)
  await once(server, 'listening')
  const die = () => {
    server.close()
    for (const socket of open) socket.destroy()
  }
  const close = async () => {
    die()
    await rm(folder, { recursive: true, force: true })
  }
  return { path, die, close }
}

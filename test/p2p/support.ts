/** Real peers for the tests of this room: each on a free loopback port, all closed with the test. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { generateIdentity } from '../../src/p2p/identity.ts'
import { createPeer } from '../../src/p2p/peer.ts'
import type { Peer, PeerOptions } from '../../src/p2p/peer.ts'

export async function startPeer(t: TestContext, options: Partial<PeerOptions> = {}): Promise<Peer> {
  const peer = await createPeer({ identity: await generateIdentity(), ...options })
  t.after(() => peer.close())
  return peer
}

/** A peer in a process of its own, which plays the role that the fixture has under `role`. */
export async function startOther(
  t: TestContext,
  role: string,
  ...args: string[]
): Promise<{ addrs: string[]; child: ChildProcess }> {
  const child = fork(fileURLToPath(new URL('other.fixture.ts', import.meta.url)), [role, ...args], {
    stdio: 'inherit',
    // A large nursery lets garbage of the network's buffers pile up to 80 MiB for no more speed.
    execArgv: ['--max-semi-space-size=4'],
  })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const [message] = (await once(child, 'message')) as [{ addrs: string[] }]
  return { addrs: message.addrs, child }
}

export const forMs = (ms: number): AbortSignal => AbortSignal.timeout(ms)

export { eventually } from '../support/eventually.ts'

/** The error that `promise` fails with; a promise that does not fail is the failure. */
export async function errorOf(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  const error: unknown = await promise.then(
    () => undefined,
    (e: unknown) => e,
  )
  if (!(error instanceof Error)) throw new Error('it did not fail')
  return error
}

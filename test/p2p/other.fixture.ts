/** A peer in its own process; what it does is named by the first argument. Tells its parent its addresses. */
import { FrameStream } from '../../src/p2p/frames.ts'
import { generateIdentity } from '../../src/p2p/identity.ts'
import { PROTOCOLS } from '../../src/p2p/limits.ts'
import { createPeer } from '../../src/p2p/peer.ts'
import type { Peer } from '../../src/p2p/peer.ts'

const roles: Readonly<Record<string, (peer: Peer) => Promise<void>>> = {
  /** Sends every frame back. */
  echo: async (peer) => {
    await peer.libp2p.handle(PROTOCOLS.job, (stream) => void echo(new FrameStream(stream)))
  },
}

async function echo(frames: FrameStream): Promise<void> {
  for await (const frame of frames) {
    await frames.send(frame.type, frame.header, frame.attachments)
  }
  await frames.close()
}

const role = roles[process.argv[2] ?? '']
if (role === undefined) throw new Error(`no role ${process.argv[2]}`)
const peer = await createPeer({ identity: await generateIdentity() })
await role(peer)
process.on('disconnect', () => process.exit(0))
process.send?.({ addrs: peer.addrs() })

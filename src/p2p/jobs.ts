/**
 * The job stream: one long-lived stream of frames per client and host, over which every job of that pair goes. What the
 * frames mean is the roles' business; here is only who may open how many, and how long a silent one lives.
 */
import { asMecaError } from '../core/errors.ts'
import { accept } from './accept.ts'
import { FrameStream } from './frames.ts'
import { JOBS, PROTOCOLS, STREAM } from './limits.ts'
import type { Peer, Target } from './peer.ts'

/** Both ends send keep-alives, so that either notices within the idle deadline that the other is gone. */
const alive = { idleTimeoutMs: STREAM.idleTimeoutMs, keepAliveMs: STREAM.keepAliveMs }

/**
 * The client's end. The caller keeps it and sends all its jobs for this host over it; when `closed` resolves, the jobs
 * in flight are asked for again, by their ids, over a new one.
 */
export async function openJobs(peer: Peer, host: Target, signal: AbortSignal): Promise<FrameStream> {
  return new FrameStream(await peer.openStream(host, PROTOCOLS.job, signal), alive)
}

/** The host's end: `handler` reads until the client ends; then the stream is closed, or reset if the handler failed. */
export function serveJobs(
  peer: Peer,
  handler: (stream: FrameStream, context: { peerId: string }) => Promise<void>,
): Promise<() => Promise<void>> {
  return accept(peer, PROTOCOLS.job, JOBS.maxStreamsPerPeer, async (stream, peerId) => {
    const frames = new FrameStream(stream, alive)
    try {
      await handler(frames, { peerId })
      await frames.close()
    } catch (error) {
      frames.abort(asMecaError(error))
    }
    await frames.closed
  })
}

/** Asking a host what one job would cost, and answering. The messages themselves are core's business. */
import type { Header } from './codec.ts'
import { PROTOCOLS } from './limits.ts'
import type { Peer, Target } from './peer.ts'
import type { AskContext, AskOptions } from './rpc.ts'
import { ask, serve } from './rpc.ts'

/** The host's answer; its refusal is thrown with the host's own code and words. */
export async function askQuote(peer: Peer, host: Target, request: Header, options: AskOptions): Promise<Header> {
  return (await ask(peer, host, PROTOCOLS.quote, request, options)).header
}

/** Answers until the returned function is called. */
export function serveQuotes(
  peer: Peer,
  handler: (request: Header, context: AskContext) => Promise<Header>,
): Promise<() => Promise<void>> {
  return serve(peer, PROTOCOLS.quote, handler)
}

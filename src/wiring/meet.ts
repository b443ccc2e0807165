/**
 * Finding the market without knowing anybody: hosts leave their addresses in the registry on chain, so a node whom no
 * bootstrap peer led anywhere asks there, connects to some of them, and hears the rest from those.
 */
import type { Base, Closer } from './base.ts'

/** A market is entered through any one of them; more only load the first in the list. */
const ENOUGH = 4
const TRIED = 16
const DIAL_MS = 5_000
/** Bootstrap peers have their chance first; a market that fell silent is looked for again. */
const EVERY_MS = 10_000

export function meetHosts(base: Base, closer: Closer): void {
  const look = (): void => {
    if (base.market.heard().length > 0) return
    meet(base).catch((error: unknown) => base.log.debug({ err: error }, 'the hosts on chain were not reached'))
  }
  const first = setTimeout(look, EVERY_MS / 10).unref()
  const timer = setInterval(look, EVERY_MS).unref()
  closer.add(() => {
    clearTimeout(first)
    clearInterval(timer)
  })
}

async function meet({ hosts, peer, offers, signal }: Base): Promise<void> {
  const listed = (await hosts.list(signal)).filter(
    ({ peerId, unbondsAt }) => peerId !== peer.peerId && unbondsAt === 0n,
  )
  let met = 0
  for (const { metadata } of listed.slice(0, TRIED)) {
    const addresses = metadata.split(' ').filter((address) => peer.mayDial(address))
    if (addresses.length === 0) continue
    const reached = await offers.pull(addresses, AbortSignal.any([signal, AbortSignal.timeout(DIAL_MS)])).then(
      () => true,
      () => false, // Gone since it registered; the next one may be there.
    )
    if (reached && ++met >= ENOUGH) return
  }
}

/** A host's entry on the chain: how clients reach it, and the address that its earnings and its bond go to. */
import { asMecaError, MecaError } from '../core/errors.ts'
import type { Hex } from '../core/units.ts'
import type { Alarm } from '../role/alarms.ts'
import type { PayoutReport } from '../role/api-money.ts'
import type { Base } from './base.ts'

type Rooms = Pick<Base, 'hosts' | 'wallet' | 'signer'>

/** The Hosts contract's cap on an entry's text, in bytes; addresses are ASCII. */
const MAX_METADATA = 512

/** Once, and again when the address or identity changed: clients look there for hosts they never heard. */
export async function register(base: Base): Promise<void> {
  const { hosts, wallet, signer, peer, config, signal, log } = base
  const entry = await hosts.get(signer.address, signal)
  const metadata = fitting(config.p2p.announce.length > 0 ? config.p2p.announce : peer.addrs())
  const payee = config.host.payout ?? signer.address
  if (entry === undefined) {
    await hosts.register(wallet, { payee, peerId: peer.peerId, metadata, bondWei: 0n }, signal)
    log.info({ host: signer.address, payee }, 'registered')
    return
  }
  try {
    if (entry.peerId !== peer.peerId || entry.metadata !== metadata)
      await hosts.update(wallet, peer.peerId, metadata, signal)
    await followSetting(base, entry.payee)
    base.alarms.clear('registration')
  } catch (error) {
    signal.throwIfAborted()
    base.alarms.raise('registration', notFollowed(error))
  }
}

/** A host that cannot pay for it goes on all the same: it may be owed money that it has to look after. */
function notFollowed(error: unknown): Alarm {
  const { message, cure = 'start the host again later' } = asMecaError(error)
  return { level: 'warning', detail: `The entry on chain is not what it should be now: ${message}`, cure }
}

/** The setting is the owner's wish; once the money goes to another key, only that key can change it. */
async function followSetting({ hosts, wallet, signer, config, alarms, signal, log }: Base, payee: Hex): Promise<void> {
  const { payout } = config.host
  if (payout === undefined || payout === payee) return alarms.clear('payout')
  if (payee !== signer.address) {
    return alarms.raise('payout', {
      level: 'warning',
      detail: `host.payout is ${payout}, but the chain pays ${payee}, and only that address can change it`,
      cure: `call setPayee of the Hosts contract from ${payee}, or set host.payout to it`,
    })
  }
  await hosts.setPayee(wallet, signer.address, payout, signal)
  log.info({ host: signer.address, payee: payout }, 'earnings go to another address from now on')
}

/** Where this address's money goes; with `to` it goes there from now on. Throws `unauthorized` where it is not ours to say. */
export async function payout(
  { hosts, wallet, signer }: Rooms,
  to: Hex | undefined,
  signal: AbortSignal,
): Promise<PayoutReport> {
  const host = signer.address
  const entry = await hosts.get(host, signal)
  const now = { host, payee: entry?.payee ?? host, registered: entry !== undefined, tx: null }
  if (to === undefined || to === now.payee) return now
  if (entry === undefined) {
    throw new MecaError('not_found', `${host} is not registered as a host, so that the chain keeps no payee for it`, {
      cure: `register it with: meca host start --payout ${to}`,
    })
  }
  if (entry.payee !== host) {
    throw new MecaError(
      'unauthorized',
      `The money of ${host} goes to ${entry.payee}, and this key may not redirect it`,
      {
        cure: `call setPayee of the Hosts contract from ${entry.payee}`,
        details: { host, payee: entry.payee, asked: to },
      },
    )
  }
  const { hash } = await hosts.setPayee(wallet, host, to, signal)
  return { ...now, payee: to, tx: hash }
}

/** As many whole addresses as the contract takes. */
function fitting(addresses: readonly string[]): string {
  const kept: string[] = []
  for (const address of addresses) if ([...kept, address].join(' ').length <= MAX_METADATA) kept.push(address)
  return kept.join(' ')
}

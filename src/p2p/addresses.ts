/**
 * Which addresses of a stranger's record we are willing to dial. A record is a way to make us knock on doors inside our
 * own network, so private ranges count only where we live in them ourselves. Pure.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import type { Multiaddr } from '@multiformats/multiaddr'

/** Where we live: the addresses of our own interfaces and those we listen on. */
export type Neighbourhood = { interfaces: readonly { address: string; prefix: number }[]; loopback: boolean }

const LOOPBACK = blockList(['127.0.0.0/8', '::1/128'])
const PRIVATE = blockList([
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
  'fc00::/7',
  'fe80::/10',
])
const NOWHERE = blockList([
  '0.0.0.0/8',
  '192.0.0.0/24',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/128',
  'ff00::/8',
])

/** True when an address that a peer claims for itself may be kept and dialled. */
export function mayDial(address: Multiaddr, home: Neighbourhood): boolean {
  // A relayed address starts with the relay's own; the rule is the same for it.
  const host = address.getComponents().find((c) => ['ip4', 'ip6', 'dns', 'dns4', 'dns6', 'dnsaddr'].includes(c.name))
  if (host?.value === undefined) return address.toString().startsWith('/p2p/')
  if (host.name.startsWith('dns')) return true
  const ip = unmapped(host.value)
  if (has(NOWHERE, ip)) return false
  if (has(LOOPBACK, ip)) return home.loopback
  if (has(PRIVATE, ip)) return home.interfaces.some((i) => sameNet(ip, i.address, i.prefix))
  return true
}

function sameNet(ip: string, own: string, prefix: number): boolean {
  if (isIPv4(ip) !== isIPv4(own)) return false
  const net = new BlockList()
  net.addSubnet(own, prefix, isIPv4(own) ? 'ipv4' : 'ipv6')
  return has(net, ip)
}

/** `::ffff:10.0.0.1` is 10.0.0.1 in disguise. */
function unmapped(ip: string): string {
  const tail = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1]
  return tail ?? ip
}

function has(list: BlockList, ip: string): boolean {
  return isIPv4(ip) ? list.check(ip, 'ipv4') : isIPv6(ip) && list.check(ip, 'ipv6')
}

function blockList(nets: readonly string[]): BlockList {
  const list = new BlockList()
  for (const net of nets) {
    const [address = '', prefix = ''] = net.split('/')
    list.addSubnet(address, Number(prefix), isIPv4(address) ? 'ipv4' : 'ipv6')
  }
  return list
}

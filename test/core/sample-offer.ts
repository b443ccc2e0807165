/** One sound offer of one host, for tests that change a part of it. */
import type { Offer } from '../../src/core/offer.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { keccak, makeDomain } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'

export const DOMAIN = makeDomain(31337, '0x5fbdb2315678afecb367f032d93f642f64180aa3')
export const HOST = makeSigner(keccak(Buffer.from('host')))
export const CID = `b${'a'.repeat(58)}`
export const NOW = 1_800_000_000_000
export const TOKEN: Hex = `0x${'cc'.repeat(20)}`

export const OFFER: Offer = {
  v: 1,
  chainId: DOMAIN.chainId,
  channels: DOMAIN.channels,
  host: HOST.address,
  peerId: '12D3KooWGRUfDEcSqeqtGbE9kPRLb8QWtBcf8bTyPkYUBqNdZQXU',
  addresses: ['/ip4/127.0.0.1/tcp/4001'],
  sequence: 1,
  issuedAt: NOW - 1000,
  expiresAt: NOW + 60_000,
  tariffs: [{ token: NATIVE, perJob: 10n, perCpuSecond: 5n, perGibSecond: 1n, perGpuSecond: 100n }],
  platform: 'linux/amd64',
  total: { cpuMillis: 4000, memoryBytes: 2 ** 33, gpus: 0 },
  free: { cpuMillis: 2000, memoryBytes: 2 ** 32, gpus: 0 },
  queueFree: 10,
  formats: ['meca', 'cytomine'],
  runtimes: ['runc'],
  allowsNetwork: false,
  maxSeconds: 3600,
  maxInputBytes: 1000,
  maxOutputBytes: 1000,
  minCloseDelaySeconds: 3600,
  images: [CID],
}

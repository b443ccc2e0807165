/** For every failpoint: whose process dies there, and what makes it come by. A name that is missing here does not compile. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import Docker from 'dockerode'
import { inheritedEnvironment } from '../../src/config.ts'
import { asMecaError } from '../../src/core/errors.ts'
import type { Failpoint } from '../../src/failpoint.ts'
import { publishScript, SERVE } from '../e2e/tasks.ts'
import type { Load } from './load.ts'
import type { CrashMarket } from './market.ts'

export type Stage = { market: CrashMarket; load: Load; signal: AbortSignal }

export type Visit = {
  who: 'host' | 'client' | 'nobody'
  /** Done before the process that is to die is started. */
  before?: (stage: Stage) => Promise<void>
  /** What brings the process there once it is ready; jobs of all kinds where absent. */
  provoke?: (stage: Stage) => Promise<unknown>
  /** It comes by so often that the crash may wait for a later time. */
  often?: true
}

const exec = promisify(execFile)
const MAIN = new URL('../../src/main.ts', import.meta.url).pathname

const hostAlways: Visit = { who: 'host', often: true }
const hostOnce: Visit = { who: 'host' }
const clientAlways: Visit = { who: 'client', often: true }
const atStart: Visit = { who: 'host', provoke: () => Promise.resolve() }
const missingImage: Visit = { who: 'host', provoke: runUnknownImage }
const opening: Visit = { who: 'client', before: closeChannels }
const files: Visit = { who: 'host', provoke: ({ load }) => load.one('files') }
const closing: Visit = { who: 'client', provoke: closeChannels }

export const VISITS: Record<Failpoint, Visit> = {
  'home.locked': atStart,
  'store.verified': atStart,
  'store.before-sync': hostAlways,
  'store.synced': clientAlways,
  'store.taken-over': hostAlways,
  'store.before-head': hostAlways,
  'store.acknowledged': clientAlways,
  'file.before-rename': atStart,
  'file.placed': atStart,
  'blob.before-name': hostOnce,
  'blob.taken': hostOnce,
  'blob.named': hostOnce,
  'wallet.key-made': { who: 'nobody', provoke: killWalletCreate },
  'node.closing': { who: 'host', provoke: ({ market }) => market.terminate(market.host) },
  'janitor.tidying': atStart,
  'chain.signed': hostOnce,
  'chain.intent-written': hostOnce,
  'chain.broadcast': hostOnce,
  'chain.confirmed': hostOnce,
  'client.channel-intent': opening,
  'client.channel-opened': opening,
  'client.voucher-written': clientAlways,
  'client.job-sent': clientAlways,
  'client.before-result': clientAlways,
  'client.input-going': { who: 'client', provoke: ({ load }) => load.one('files') },
  'client.output-fetched': { who: 'client', provoke: ({ load }) => load.one('files') },
  'client.result-written': clientAlways,
  'client.acknowledged': clientAlways,
  'client.close-agreed': closing,
  'client.close-mined': closing,
  'host.offer-signed': atStart,
  'host.frame-read': hostAlways,
  'host.hello-checked': hostOnce,
  'host.job-read': hostAlways,
  'host.before-verify': hostAlways,
  'host.voucher-verified': hostAlways,
  'host.before-accept': hostAlways,
  'host.accepted': hostAlways,
  'host.input-written': hostOnce,
  'host.before-result': hostAlways,
  'host.result-written': hostAlways,
  'host.results-sent': hostAlways,
  'host.exact-verified': hostAlways,
  'host.acknowledged': hostAlways,
  'host.before-claim': hostOnce,
  'host.claimed': hostOnce,
  'host.release-written': { who: 'host', provoke: closeChannels },
  'image.before-fetch': missingImage,
  'image.fetched': missingImage,
  'image.verified': missingImage,
  'image.loaded': missingImage,
  'engine.sidecar-taken': hostOnce,
  'engine.created': hostOnce,
  'engine.started': hostOnce,
  'engine.ready': hostOnce,
  'engine.request-sent': hostAlways,
  'engine.mid-response': hostAlways,
  'engine.room-made': files,
  'engine.staged': files,
  'engine.files-started': files,
  'engine.files-ended': files,
  'files.collected': files,
  'files.kept': { who: 'host', provoke: ({ load }) => load.one('kept') },
  'files.packed': files,
  'money.withdrawn': { who: 'host', before: claimSome, provoke: withdraw },
}

/** Nothing is in flight, so both sides can agree to end their channels. Whoever dies meanwhile is asked again later. */
async function closeChannels({ market, signal }: Stage): Promise<void> {
  const { money } = await market.api(market.client)
  for (const { channel, side, state } of await money.channels(signal)) {
    if (side === 'client' && state === 'open') await money.close(channel, signal).catch(onlyLost)
  }
}

async function claimSome({ market, load, signal }: Stage): Promise<void> {
  await load.one('plain')
  await market.until('something was claimed', async () => {
    const { money } = await market.api(market.host)
    await money.claim({}, signal)
    const { balances } = await money.wallet(signal)
    return balances.some(({ credit }) => BigInt(credit) > 0n)
  })
}

async function withdraw({ market, signal }: Stage): Promise<void> {
  const { money } = await market.api(market.host)
  await money.withdraw({}, signal).catch(onlyLost)
}

/** A new task whose image only IPFS has, as on a host that has never seen it. */
async function runUnknownImage({ market, load, signal }: Stage): Promise<void> {
  const developer = await market.api(market.developer)
  const name = `unseen-${randomBytes(4).toString('hex')}`
  const { cid } = await publishScript(developer, { name, run: `${SERVE}# ${name}\n` }, signal)
  const { manifest } = await developer.developer.show(cid, signal)
  await new Docker().getImage(manifest.image.id).remove({ force: true })
  await load.one('plain', cid)
}

/** Dies with the key in memory; then there is no half of a wallet, and the next one is made. */
async function killWalletCreate({ market }: Stage): Promise<void> {
  const home = join(market.folder, `wallet-${randomBytes(4).toString('hex')}`)
  const create = (failpoints: string) =>
    exec(process.execPath, [MAIN, 'wallet', 'create', '--home', home], {
      env: { ...inheritedEnvironment(), MECA_PASSWORD: 'a long enough one', MECA_FAILPOINTS: failpoints },
    })
  for (const point of ['wallet.key-made=kill', 'file.before-rename=kill@3']) {
    const signal = await create(point).then(
      () => 'none',
      (error: { signal?: string }) => error.signal,
    )
    if (signal !== 'SIGKILL') throw new Error(`${point} was never reached by meca wallet create`)
    if (existsSync(join(home, 'keys', 'wallet.json'))) throw new Error('there is a wallet that nobody was told of')
  }
  await create('')
  await rm(home, { recursive: true })
}

function onlyLost(error: unknown): void {
  const { code } = asMecaError(error)
  if (!['peer_unreachable', 'cancelled', 'timeout'].includes(code)) throw error
}

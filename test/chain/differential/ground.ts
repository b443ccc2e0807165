/** The ground of the comparison: a chain with the contracts, one open channel of which a part was claimed, and tasks. */
import { hdKey } from '../keys.ts'
import { startMarket } from '../market.ts'
import type { Market } from '../market.ts'
import { makeSigner } from '../../../src/core/signature.ts'
import { voucherDigest } from '../../../src/core/typed.ts'
import type { ChannelTerms } from '../../../src/core/typed.ts'
import { NATIVE } from '../../../src/core/units.ts'
import type { Hex } from '../../../src/core/units.ts'
import type { Ground } from './kind.ts'
import type { Random } from './random.ts'

export type PricedTask = { taskId: Hex; fee: bigint; token: Hex }
export type Site = Ground & { market: Market; tasks: readonly PricedTask[]; deposit: bigint }

const [DEVELOPER, HOST, CLIENT, SIGNER] = [1, 2, 3, 4]
const [DEPOSIT, CLAIMED, BOND] = [10n ** 21n, 4n * 10n ** 20n, 10n ** 18n]
/** Fees of the tasks that vouchers pay for; the last task is sold in a token, which the channel does not hold. */
const FEES = [0n, 1n, 3n, 1000n, 10n ** 9n, 10n ** 15n, 5n]

export async function openSite(random: Random): Promise<Site> {
  const market = await startMarket({ args: ['--disable-block-gas-limit'] })
  try {
    const { signal, channels, chain, deployment } = market
    const token = deployment.token ?? NATIVE
    const [host, client, signer] = [HOST, CLIENT, SIGNER].map((i) => makeSigner(hdKey(i))) as [Signer, Signer, Signer]
    const parties = { client: client.address, signer: signer.address, host: host.address }
    const terms: ChannelTerms = { ...parties, token: NATIVE, closeDelaySeconds: 900, salt: random.hex(32) }
    await channels.open(market.wallet(CLIENT), terms, DEPOSIT, signal)
    const entry = { payee: host.address, peerId: 'peer', metadata: '', bondWei: BOND }
    await market.hosts.register(market.wallet(HOST), entry, signal)
    const tasks: PricedTask[] = []
    for (const [i, fee] of FEES.entries()) {
      const task = { taskId: random.hex(32), fee, token: i === FEES.length - 1 ? token : NATIVE }
      const names = { payee: market.signer(DEVELOPER).address, name: 'task', version: `${i}` }
      await market.tasks.publish(market.wallet(DEVELOPER), { ...task, ...names }, signal)
      tasks.push(task)
    }
    const [free, ...priced] = tasks
    const channelId = channels.idOf(terms)
    const voucher = {
      channelId,
      taskId: free?.taskId ?? '0x',
      jobs: 1,
      hostAmount: CLAIMED,
      developerAmount: 0n,
    } as const
    const signature = signer.sign(voucherDigest(chain.domain, voucher))
    await channels.claim(market.wallet(HOST), [{ terms, rows: [{ ...voucher, signature }] }], signal)
    const money = { claimed: CLAIMED, deposit: DEPOSIT, tasks: priced }
    const contracts = { domain: chain.domain, hosts: deployment.contracts.hosts }
    return { market, terms, channelId, token, signer, host, client, ...money, ...contracts }
  } catch (error) {
    await market.close()
    throw error
  }
}

type Signer = Ground['signer']

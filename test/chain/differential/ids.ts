/** Ids of channels: the same on both sides, whatever the terms, the chain and the contract's address. */
import { Interface } from 'ethers'
import { channelsAbi } from '../../../src/chain/abi.ts'
import { channelIdOf, makeDomain } from '../../../src/core/typed.ts'
import type { Domain } from '../../../src/core/typed.ts'
import type { Hex } from '../../../src/core/units.ts'
import { zTerms } from '../../../src/core/wire.ts'
import { askAll } from './ask.ts'
import { damagesOf } from './damage.ts'
import type { Damage, Field, Fields } from './damage.ts'
import type { Site } from './ground.ts'
import { bytes, n, termsOf } from './kind.ts'
import type { Random } from './random.ts'
import { isSound } from './tally.ts'
import type { Tally } from './tally.ts'

const LAYOUT: readonly Field[] = [
  { name: 'client', type: 'address' },
  { name: 'signer', type: 'address' },
  { name: 'host', type: 'address' },
  { name: 'token', type: 'address' },
  { name: 'closeDelay', type: 'uint64' },
  { name: 'salt', type: 'bytes32' },
]
const abi = new Interface(JSON.stringify(channelsAbi))
/** A chain id is set for this many rows at a time. */
const ROWS_A_CHAIN = 250

export async function compareIds(site: Site, random: Random, rows: number, tally: Tally): Promise<void> {
  const { market, domain } = site
  const code = (await market.rpc('eth_getCode', domain.channels, 'latest')) as Hex
  for (let done = 0; done < rows; done += ROWS_A_CHAIN) {
    const chainId = done % (2 * ROWS_A_CHAIN) === 0 ? domain.chainId : 1 + random.below(2 ** 40)
    await market.rpc('anvil_setChainId', chainId)
    try {
      await compareOn(site, chainId, code, random, Math.min(ROWS_A_CHAIN, rows - done), tally)
    } finally {
      await market.rpc('anvil_setChainId', domain.chainId)
    }
  }
}

export const ID_DAMAGES = damagesOf({ layout: LAYOUT }).filter(
  ({ group }) => group === 'field byte' || group === 'domain',
)

async function compareOn(site: Site, chainId: number, code: Hex, random: Random, rows: number, tally: Tally) {
  const cases = Array.from({ length: rows }, (_, i) => {
    const at = i % 3 === 0 ? random.hex(20) : site.domain.channels
    const damage = isSound(i) ? undefined : tally.next('channel id', ID_DAMAGES, random)
    return { ...shownTerms(damage, random), at, damage, here: makeDomain(chainId, at) }
  })
  const replies = await askAll(
    site.market.url,
    cases.map(({ shown, at }) => {
      const data = abi.encodeFunctionData('channelId', [{ ...shown, closeDelay: n(shown['closeDelay']) }]) as Hex
      return { to: at, data, ...(at === site.domain.channels ? {} : { code: { at, is: code } }) }
    }),
  )
  for (const [i, { sound, shown, damage, here }] of cases.entries()) {
    const reply = replies[i]
    const there = reply !== undefined && 'result' in reply ? reply.result : undefined
    const domain: Domain = damage?.domain?.(here, random) ?? here
    const same = readable(shown) && channelIdOf(domain, termsOf(shown)) === there
    const stays = there === channelIdOf(here, termsOf(sound))
    const agreed = agrees(damage, same, stays, readable(shown))
    tally.count('channel id', damage, agreed, damage === undefined, () => JSON.stringify({ shown, there, chainId }))
  }
}

/** A damaged field gives another id, the same on both sides; in a damaged domain there is an id that no contract gives. */
function agrees(damage: Damage | undefined, same: boolean, stays: boolean, readable: boolean): boolean {
  if (damage === undefined) return same && stays
  if (damage.domain !== undefined) return stays && !same
  return !stays && (same || !readable)
}

function shownTerms(damage: Damage | undefined, random: Random): { sound: Fields; shown: Fields } {
  const addresses = ['client', 'signer', 'host', 'token'].map((name) => [name, random.hex(20)])
  const closeDelay = bytes(BigInt(random.below(2 ** 40)), 8)
  const sound: Fields = { ...(Object.fromEntries(addresses) as Fields), closeDelay, salt: random.hex(32) }
  return { sound, shown: damage?.shown?.({ fields: sound, signature: NONE, proof: [] }, random).fields ?? sound }
}

const NONE = Buffer.alloc(65)

/** A delay beyond what the wire carries is refused there, and by `open` too, which ends at 30 days. */
function readable(fields: Fields): boolean {
  return zTerms.safeParse(termsOf(fields)).success
}

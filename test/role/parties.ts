/**
 * Whole nodes for tests about money: client and host as the wiring builds them, over a real chain and network, with
 * containers that are a function. A node opened anew under another name with the same account is one that kept its key and
 * lost its disk.
 */
import assert from 'node:assert/strict'
import type { Hex } from '../../src/core/units.ts'
import type { ClientApi } from '../../src/role/api-client.ts'
import type { MoneyApi } from '../../src/role/api-money.ts'
import type { Base } from '../../src/wiring/base.ts'
import { openClient } from '../../src/wiring/client-side.ts'
import type { ClientSide } from '../../src/wiring/client-side.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import type { HostSide } from '../../src/wiring/host-side.ts'
import { moneyApi } from '../../src/wiring/money-side.ts'
import { eventually, FakeEngine, openStage } from './stage.ts'
import type { Published, Stage } from './stage.ts'

export type Party = {
  base: Base
  address: Hex
  client: ClientSide
  side: HostSide | undefined
  money: MoneyApi
  api: ClientApi
  close(): Promise<void>
}

export type Parties = {
  stage: Stage
  fake: FakeEngine
  open(name: string, account: number, options?: PartyOptions): Promise<Party>
  run(client: Party, task: Published, input: string, id?: string, host?: Hex): Promise<bigint>
  close(): Promise<void>
}

export type PartyOptions = { host?: true; meets?: Party; flags?: Record<string, unknown> }

const quiet = (): void => undefined
export const { signal } = new AbortController()

export async function openParties(): Promise<Parties> {
  const stage = await openStage()
  const fake = new FakeEngine()
  const open: Parties['open'] = async (name, account, { host, meets, flags = {} } = {}) => {
    const bootstrap = meets === undefined ? {} : { 'p2p.bootstrap': meets.base.peer.addrs().join(' ') }
    const { base, closer } = await stage.open(name, account, { ...bootstrap, ...flags })
    const client = await openClient(base, closer)
    const fatal = (error: unknown) => assert.fail(String(error))
    const side = host === true ? await openHost(base, fake.engine, closer, fatal) : undefined
    const money = moneyApi(base, client, side)
    const { address } = base.signer
    return { base, address, client, side, money, api: client.api, close: () => closer.close() }
  }
  let ids = 0
  return {
    stage,
    fake,
    open,
    run: async (client, task, input, id = `job-${++ids}`, host) => {
      const options = { id, maxSeconds: 20, ...(host === undefined ? {} : { host }) }
      const { price } = await client.api.run(task.cid, Buffer.from(input), options, quiet, signal)
      return BigInt(price.host) + BigInt(price.developer)
    },
    close: () => stage.close(),
  }
}

/** Until the client hears the offer of the host as it is now: it may have been opened anew. */
export async function heard(client: Party, host: Party): Promise<void> {
  await eventually('the client hears the host', () => {
    const offer = client.base.market.find(host.address)?.offer
    return offer !== undefined && offer.peerId === host.base.peer.peerId
  })
}

/** Until the client has said what it owes to the last unit, and the host has written that down. */
export async function settled(host: Party, billed: bigint): Promise<void> {
  await eventually(`the host holds a voucher over exactly ${billed}`, () => exactAt(host) === billed)
}

export function exactAt({ side }: Party): bigint {
  assert.ok(side)
  const { book } = side
  return [...book.channels.keys()]
    .flatMap((id) => book.rowsOf(id))
    .reduce((all, { exact }) => all + (exact?.totals.hostAmount ?? 0n) + (exact?.totals.developerAmount ?? 0n), 0n)
}

/** Everything that reconciles, or what does not. */
export async function requireAgreement({ money }: Party): Promise<void> {
  const { lines } = await money.reconcile(signal)
  assert.deepEqual(
    lines.filter(({ difference }) => difference !== '0'),
    [],
  )
}

/** The chain's part of a history: what the Channels contract says that happened, from its events, and what it owns. */
import { channelsAbi } from '../../src/chain/abi.ts'
import type { Chain } from '../../src/chain/chain.ts'
import { Channels } from '../../src/chain/channels.ts'
import { Codec } from '../../src/chain/codec.ts'
import type { Log } from '../../src/chain/codec.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import type { ChainFacts, ChannelFacts, Claim, Lane } from './history.ts'

const codec = new Codec(channelsAbi)

/** Of a market in the chain's own currency; the one of a token would need its balance instead. */
export async function readChain(chain: Chain, signal: AbortSignal): Promise<ChainFacts> {
  const address = chain.deployment.contracts.channels
  const logs = (await chain.rpc.request(
    'eth_getLogs',
    [{ address, fromBlock: '0x0', toBlock: 'latest' }],
    signal,
  )) as Log[]
  const events = (name: string) => codec.events(name, logs)
  const contract = new Channels(chain)
  const channels: ChannelFacts[] = []
  for (const { channelId, client, host, deposit } of events('Opened')) {
    const channel = channelId as Hex
    const of = (name: string) => events(name).filter((event) => event['channelId'] === channel)
    const [finished] = of('Finished')
    channels.push({
      channel,
      client: client as Hex,
      host: host as Hex,
      deposits: [deposit as bigint, ...of('ToppedUp').map((event) => event['amount'] as bigint)],
      claimed: (await contract.state(channel, signal)).claimed,
      refunded: finished === undefined ? undefined : (finished['refund'] as bigint),
    })
  }
  const claims = events('Claimed').map((event): Claim => ({
    channel: event['channelId'] as Hex,
    task: event['taskId'] as Hex,
    host: event['hostPaid'] as bigint,
    developer: event['developerPaid'] as bigint,
  }))
  const withdrawn = [...events('Withdrawn'), ...events('TasksWithdrawn')]
  return {
    channels,
    claims,
    lanes: await lanesOf(contract, claims, signal),
    withdrawn: withdrawn.reduce((all, event) => all + (event['amount'] as bigint), 0n),
    credit: await creditOf(contract, channels, claims, signal),
    balance: BigInt((await chain.rpc.request('eth_getBalance', [address, 'latest'], signal)) as string),
  }
}

async function lanesOf(contract: Channels, claims: readonly Claim[], signal: AbortSignal): Promise<Lane[]> {
  const lanes = new Map(claims.map(({ channel, task }) => [`${channel}/${task}`, { channel, task }]))
  return Promise.all(
    [...lanes.values()].map(async ({ channel, task }) => ({
      channel,
      task,
      claimed: await contract.lane(channel, task, signal),
    })),
  )
}

async function creditOf(
  contract: Channels,
  channels: readonly ChannelFacts[],
  claims: readonly Claim[],
  signal: AbortSignal,
): Promise<bigint> {
  const accounts = new Set(channels.flatMap(({ client, host }) => [client, host]))
  const credits = await Promise.all([
    ...[...accounts].map((account) => contract.credit(NATIVE, account, signal)),
    ...[...new Set(claims.map(({ task }) => task))].map((task) => contract.taskCredit(NATIVE, task, signal)),
  ])
  return credits.reduce((all, credit) => all + credit, 0n)
}

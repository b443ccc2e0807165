/** What a host asks its chain about a channel whose vouchers outgrew the deposit that it knows. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { ChannelRecord } from '../../src/core/records.ts'
import { NOTHING } from '../../src/core/resources.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { makeDomain } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { Currencies } from '../../src/role/currencies.ts'
import { HostChannels } from '../../src/role/host-channels.ts'

const word = (byte: string): Hex => `0x${byte.repeat(32)}`
const address = (byte: string): Hex => `0x${byte.repeat(20)}`
const CHANNEL: ChannelRecord = {
  channelId: word('c1'),
  side: 'host',
  terms: {
    client: address('01'),
    signer: address('01'),
    host: address('02'),
    token: NATIVE,
    closeDelaySeconds: 900,
    salt: word('05'),
  },
  state: 'open',
  deposit: 1n,
  claimed: 0n,
  closesAt: 0,
  createdAt: 1,
}

const POLICY = {
  tariffs: [],
  total: NOTHING,
  formats: [],
  runtimes: [],
  platform: 'linux/amd64',
  allowsNetwork: false,
  maxSeconds: 1,
  maxInputBytes: 1,
  maxOutputBytes: 1,
  maxFilesInputBytes: 1,
  minCloseDelaySeconds: 1,
}

function channelsOver(deposit: () => bigint) {
  const asked: number[] = []
  const book = {
    channels: new Map([[CHANNEL.channelId, CHANNEL]]),
    stageChannel: () => undefined,
    commit: () => Promise.resolve(),
  }
  const parts = {
    book,
    confirmations: 1,
    currencies: new Currencies([]),
    domain: makeDomain(1, address('cc')),
    peerId: 'host',
    policy: POLICY,
    signer: makeSigner(Buffer.alloc(32, 1)),
    signal: new AbortController().signal,
    now: () => performance.now(),
    wallNow: () => 1,
    channelState: async () => {
      asked.push(performance.now())
      return Promise.resolve({ deposit: deposit(), claimed: 0n, closesAt: 0, closed: false })
    },
  }
  return { asked, channels: new HostChannels(parts) }
}

test('a top-up right after a question is not missed: the next answer waits for the next question', async () => {
  let deposit = 10n
  const { channels } = channelsOver(() => deposit)
  assert.equal((await channels.grown(CHANNEL)).deposit, 10n)
  deposit = 20n
  assert.equal((await channels.grown(CHANNEL)).deposit, 20n)
})

test('a flood of wishes is one question at once and one for all the rest', async () => {
  const { channels, asked } = channelsOver(() => 10n)
  await Promise.all(Array.from({ length: 500 }, () => channels.grown(CHANNEL)))
  assert.equal(asked.length, 2)
  const [first = 0, second = 0] = asked
  assert.ok(second - first >= 450, `asked again after ${second - first} ms`)
})

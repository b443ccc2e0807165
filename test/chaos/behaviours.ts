/**
 * The ways in which an endpoint misbehaves, each with a name. `silence`: it gives no usable answer; `nonsense`: an answer
 * that no chain gives; `lie`: a well-formed answer that is not true. A lie over the state of a channel that is otherwise
 * perfect can be told from the truth by a second endpoint only: those are marked.
 */
import { gzipSync } from 'node:zlib'
import { Interface } from 'ethers'
import { channelsAbi } from '../../src/chain/abi.ts'
import type { Ask, Behaviour, Heard, Truth } from './proxy.ts'

export type Named = {
  name: string
  kind: 'silence' | 'nonsense' | 'lie'
  /** Made anew for each use, so that one with a memory begins without any. */
  make: () => Behaviour
  /** Nothing has to be noticed: what is decided on is not touched. */
  harmless?: true
  /** Only another endpoint can tell. */
  needsWitness?: true
}

type Tell = Parameters<Behaviour>[1]
type Patch = (result: unknown, ask: Ask) => unknown

const abi = new Interface(JSON.stringify(channelsAbi))
const CHANNEL = abi.getFunction('channel')?.selector ?? ''
const LANE = abi.getFunction('lane')?.selector ?? ''
const hex = (n: bigint | number) => `0x${n.toString(16)}`
const WORD = (n: bigint) => n.toString(16).padStart(64, '0')

/** The same for every question. */
const always = (heard: (ask: Ask) => Heard): (() => Behaviour) => {
  return () => (ask) => heard(ask)
}
const raw = (text: string | Uint8Array, status = 200, headers: Record<string, string> = {}) =>
  always(() => ({ raw: text, status, headers }))

/** The truth, with the result of these methods replaced. */
const patched = (methods: readonly string[], patch: Patch): (() => Behaviour) => {
  return () => async (ask, tell) => {
    const truth = await tell()
    if (!methods.includes(ask.method) || !('result' in truth)) return { answer: truth }
    return { answer: { ...truth, result: patch(truth.result, ask) } }
  }
}

const QUANTITIES = [
  'eth_chainId',
  'eth_getBalance',
  'eth_getTransactionCount',
  'eth_gasPrice',
  'eth_estimateGas',
  'eth_blockNumber',
]
const numbers = (wrong: (n: string) => unknown) =>
  patched([...QUANTITIES, 'eth_getBlockByNumber'], (result) =>
    typeof result === 'string' ? wrong(result) : withFields(result, ['number', 'timestamp', 'baseFeePerGas'], wrong),
  )

function withFields(result: unknown, names: readonly string[], wrong: (n: string) => unknown): unknown {
  if (typeof result !== 'object' || result === null) return result
  const fields = result as Record<string, unknown>
  return { ...fields, ...Object.fromEntries(names.map((name) => [name, wrong(String(fields[name]))])) }
}

const head = (by: (n: number) => number) => patched(['eth_getBlockByNumber'], moved(by))
const moved =
  (by: (n: number) => number): Patch =>
  (result) =>
    withFields(result, ['number'], (n) => hex(Math.max(0, by(Number(n)))))

/** What a view of the contract answers, replaced. */
const view = (selector: string, answer: (call: string) => string): (() => Behaviour) => {
  return () => async (ask, tell) => {
    const call = (ask.params[0] as { data?: string } | undefined)?.data ?? ''
    const truth = await tell()
    if (ask.method !== 'eth_call' || !call.startsWith(selector)) return { answer: truth }
    return { answer: { jsonrpc: '2.0', id: ask.id, result: answer(call) } }
  }
}
const channelIs = (deposit: bigint, claimed: bigint, closesAt: bigint) =>
  view(CHANNEL, () => `0x${WORD(deposit)}${WORD(claimed)}${WORD(closesAt)}`)

const receipts = (patch: (receipt: Record<string, unknown>) => unknown) =>
  patched(['eth_getTransactionReceipt'], (result) =>
    typeof result === 'object' && result !== null ? patch(result as Record<string, unknown>) : result,
  )

/** `eth_sendRawTransaction` goes its own way, everything else is true. */
const sending = (heard: (ask: Ask, tell: Tell) => Promise<Heard> | Heard): (() => Behaviour) => {
  return () => async (ask, tell) =>
    ask.method === 'eth_sendRawTransaction' ? heard(ask, tell) : { answer: await tell() }
}
const refusal = (id: number, message: string, code: unknown = -32000) => ({
  answer: { jsonrpc: '2.0', id, error: { code, message } },
})

/** What was true a while ago, for whatever asks for the newest. */
const stale = (blocks: number): (() => Behaviour) => {
  return () => async (ask, tell) => {
    const newest = Number((await tell({ method: 'eth_blockNumber', params: [] })).result)
    const then = hex(Math.max(1, newest - blocks))
    return { answer: await tell({ params: ask.params.map((p) => (p === 'latest' || p === 'pending' ? then : p)) }) }
  }
}

export const BEHAVIOURS: readonly Named[] = [
  { name: 'hang', kind: 'silence', make: always(() => ({ silence: true })) },
  {
    name: 'slow',
    kind: 'silence',
    harmless: true,
    make: () => async (_, tell) => {
      await new Promise((resolve) => setTimeout(resolve, 60))
      return { answer: await tell() }
    },
  },
  { name: 'connection reset', kind: 'silence', make: always(() => ({ reset: true })) },
  {
    name: 'reset in the middle of an answer',
    kind: 'silence',
    make: always(() => ({ reset: true, after: '{"jsonrpc":"2.0","id"' })),
  },
  { name: '429 with Retry-After 1', kind: 'silence', make: raw('slow down', 429, { 'retry-after': '1' }) },
  { name: '429 with Retry-After of a year', kind: 'silence', make: raw('no', 429, { 'retry-after': '31536000' }) },
  { name: '429 without Retry-After', kind: 'silence', make: raw('slow down', 429) },
  { name: '500', kind: 'silence', make: raw('oh', 500) },
  { name: '401', kind: 'silence', make: raw('who are you', 401) },
  { name: 'HTML page with 200', kind: 'silence', make: raw('<!doctype html><p>Checking your browser', 200) },
  { name: 'HTML page with 503', kind: 'silence', make: raw('<h1>503</h1>', 503) },
  { name: 'redirect', kind: 'silence', make: raw('', 307, { location: 'http://127.0.0.1:1/' }) },
  {
    name: 'every second question fails',
    kind: 'silence',
    harmless: true,
    make: () => {
      let turn = 0
      return async (_, tell) => (++turn % 2 === 0 ? { reset: true } : { answer: await tell() })
    },
  },
  { name: 'empty body', kind: 'nonsense', make: raw('') },
  {
    name: 'half a JSON',
    kind: 'nonsense',
    make: () => async (_, tell) => ({ raw: JSON.stringify(await tell()).slice(0, -7) }),
  },
  {
    name: 'another question’s id',
    kind: 'nonsense',
    make: () => async (ask, tell) => ({ answer: { ...(await tell()), id: ask.id + 1 } }),
  },
  {
    name: 'id as text',
    kind: 'nonsense',
    make: () => async (ask, tell) => ({ answer: { ...(await tell()), id: String(ask.id) } }),
  },
  { name: 'partial batch', kind: 'nonsense', make: () => async (_, tell) => ({ answer: [await tell()] }) },
  { name: 'empty batch', kind: 'nonsense', make: always(() => ({ answer: [] })) },
  {
    name: 'swapped batch',
    kind: 'nonsense',
    make: () => {
      let before: Truth | undefined
      return async (ask, tell) => {
        const [mine, last] = [await tell(), before]
        before = mine
        return { answer: last === undefined ? { ...mine, result: '0x' } : { ...last, id: ask.id } }
      }
    },
  },
  {
    name: 'duplicate answers',
    kind: 'nonsense',
    make: () => async (_, tell) => {
      const text = JSON.stringify(await tell())
      return { raw: text + text }
    },
  },
  {
    name: 'null results',
    kind: 'nonsense',
    make: always(({ id }) => ({ answer: { jsonrpc: '2.0', id, result: null } })),
  },
  { name: 'no result and no error', kind: 'nonsense', make: always(({ id }) => ({ answer: { jsonrpc: '2.0', id } })) },
  {
    name: 'error objects of odd shape',
    kind: 'nonsense',
    make: () => {
      const shapes: unknown[] = ['no', 7, [], {}, { code: 'x', message: {} }, { message: 'no code' }, true]
      let turn = 0
      return ({ id }) => ({ answer: { jsonrpc: '2.0', id, error: shapes[turn++ % shapes.length] } })
    },
  },
  {
    name: 'an error text of a megabyte with control characters',
    kind: 'nonsense',
    make: always(({ id }) => refusal(id, '\u001b[2J\u0000'.repeat(2 ** 18))),
  },
  { name: 'huge body', kind: 'nonsense', make: raw(Buffer.alloc(9 * 2 ** 20, 0x20)) },
  {
    name: 'huge body, compressed',
    kind: 'nonsense',
    make: raw(gzipSync(Buffer.alloc(64 * 2 ** 20, 0x20)), 200, { 'content-encoding': 'gzip' }),
  },
  {
    name: 'deeply nested result',
    kind: 'nonsense',
    make: always(({ id }) => ({
      raw: `{"jsonrpc":"2.0","id":${id},"result":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    })),
  },
  { name: 'negative numbers', kind: 'nonsense', make: numbers((n) => `-${n}`) },
  { name: 'numbers of 2^256', kind: 'nonsense', make: numbers(() => hex(2n ** 256n)) },
  { name: 'numbers of 2^256 - 1', kind: 'nonsense', make: numbers(() => hex(2n ** 256n - 1n)) },
  { name: 'numbers of a million digits', kind: 'nonsense', make: numbers(() => `0x${'9'.repeat(1e6)}`) },
  { name: 'numbers with leading zeros', kind: 'nonsense', harmless: true, make: numbers((n) => `0x000${n.slice(2)}`) },
  { name: 'numbers as JSON numbers', kind: 'nonsense', make: numbers((n) => Number(n)) },
  { name: 'numbers as words', kind: 'nonsense', make: numbers(() => 'latest') },
  {
    name: 'eth_call gives nothing',
    kind: 'nonsense',
    make: patched(['eth_call'], () => '0x'),
  },
  {
    name: 'eth_call gives too much',
    kind: 'nonsense',
    make: patched(['eth_call'], () => `0x${'ff'.repeat(4096)}`),
  },
  {
    name: 'every call is said to revert',
    kind: 'lie',
    make: () => async (ask, tell) =>
      ask.method === 'eth_call' ? refusal(ask.id, 'execution reverted', 3) : { answer: await tell() },
  },
  { name: 'other chain id', kind: 'lie', make: patched(['eth_chainId'], () => '0x1') },
  { name: 'no contract code', kind: 'lie', make: patched(['eth_getCode'], () => '0x') },
  { name: 'wrong contract code', kind: 'lie', make: patched(['eth_getCode'], () => '0x600160015500') },
  { name: 'stale head', kind: 'lie', harmless: true, make: stale(5) },
  { name: 'head stands still far behind', kind: 'lie', make: stale(1000) },
  {
    name: 'head goes back and forth',
    kind: 'lie',
    harmless: true,
    make: () => {
      let turn = 0
      const [old, now] = [stale(4)(), (_: Ask, tell: Tell) => tell().then((answer) => ({ answer }))]
      return (ask, tell) => (++turn % 2 === 0 ? old(ask, tell) : now(ask, tell))
    },
  },
  { name: 'head far ahead', kind: 'lie', harmless: true, make: head((n) => n + 10_000) },
  { name: 'head at zero', kind: 'lie', harmless: true, make: head(() => 0) },
  {
    name: 'a block’s hash that is another’s',
    kind: 'lie',
    harmless: true,
    make: patched(['eth_getBlockByNumber'], (block) => withFields(block, ['hash'], () => `0x${'ab'.repeat(32)}`)),
  },
  { name: 'deposit forged', kind: 'lie', needsWitness: true, make: channelIs(10n ** 20n, 0n, 0n) },
  { name: 'deposit hidden', kind: 'lie', make: channelIs(0n, 0n, 0n) },
  {
    name: 'channel said to be closing',
    kind: 'lie',
    needsWitness: true,
    make: channelIs(10n ** 17n, 0n, 4_000_000_000n),
  },
  {
    name: 'channel said to be finished',
    kind: 'lie',
    needsWitness: true,
    make: channelIs(10n ** 17n, 0n, 2n ** 64n - 1n),
  },
  { name: 'more claimed than deposited', kind: 'nonsense', make: channelIs(10n ** 16n, 10n ** 18n, 0n) },
  {
    name: 'lane said to be claimed',
    kind: 'lie',
    make: view(LANE, () => `0x${WORD(9n)}${WORD(10n ** 18n)}${WORD(10n ** 18n)}`),
  },
  { name: 'missing receipts', kind: 'lie', make: patched(['eth_getTransactionReceipt'], () => null) },
  { name: 'missing logs', kind: 'lie', harmless: true, make: receipts((r) => ({ ...r, logs: [] })) },
  { name: 'missing log field', kind: 'nonsense', make: receipts(({ logs: _, ...r }) => r) },
  {
    name: 'forged logs',
    kind: 'lie',
    make: receipts((r) => ({
      ...r,
      logs: [0, 1, 2].map(() => ({
        address: r['to'],
        topics: [abi.getEvent('Claimed')?.topicHash, `0x${'00'.repeat(32)}`, `0x${'11'.repeat(32)}`],
        data: `0x${WORD(10n ** 18n)}${WORD(10n ** 18n)}`,
      })),
    })),
  },
  {
    name: 'logs that do not decode',
    kind: 'nonsense',
    make: receipts((r) => ({
      ...r,
      logs: [{ address: r['to'], topics: [abi.getEvent('Claimed')?.topicHash], data: '0x01' }],
    })),
  },
  { name: 'forged receipt: failed', kind: 'lie', make: receipts((r) => ({ ...r, status: '0x0' })) },
  { name: 'forged receipt: gas', kind: 'nonsense', make: receipts((r) => ({ ...r, gasUsed: hex(2n ** 255n) })) },
  { name: 'forged receipt: block', kind: 'lie', make: receipts((r) => ({ ...r, blockNumber: '0x0' })) },
  {
    name: 'forged receipt: block hash',
    kind: 'lie',
    make: receipts((r) => ({ ...r, blockHash: `0x${'cd'.repeat(32)}` })),
  },
  {
    name: 'forged receipt: another transaction',
    kind: 'lie',
    make: receipts((r) => ({ ...r, transactionHash: `0x${'ee'.repeat(32)}` })),
  },
  {
    name: 'forged receipt: done, though never sent',
    kind: 'lie',
    make: () => async (ask, tell) => {
      if (ask.method === 'eth_sendRawTransaction') return { answer: { jsonrpc: '2.0', id: ask.id, result: '0x' } }
      if (ask.method === 'eth_getTransactionCount')
        return { answer: { ...(await tell()), result: hex(Number((await tell()).result) + 1) } }
      if (ask.method !== 'eth_getTransactionReceipt') return { answer: await tell() }
      const block = (await tell({ method: 'eth_getBlockByNumber', params: ['latest', false] })).result
      const { number, hash } = block as Record<string, unknown>
      const forged = { transactionHash: ask.params[0], status: '0x1', blockNumber: number, blockHash: hash }
      return {
        answer: {
          jsonrpc: '2.0',
          id: ask.id,
          result: { ...forged, gasUsed: '0x5208', effectiveGasPrice: '0x1', contractAddress: null, logs: [] },
        },
      }
    },
  },
  {
    name: 'transaction swallowed',
    kind: 'lie',
    make: sending((ask) => ({ answer: { jsonrpc: '2.0', id: ask.id, result: `0x${'12'.repeat(32)}` } })),
  },
  {
    name: 'transaction said to be known, and swallowed',
    kind: 'lie',
    make: sending(({ id }) => refusal(id, 'already known')),
  },
  {
    name: 'transaction said to be refused, yet passed on',
    kind: 'lie',
    harmless: true,
    make: sending(async ({ id }, tell) => {
      await tell()
      return refusal(id, 'internal error')
    }),
  },
  {
    name: 'no answer to a transaction that was passed on',
    kind: 'lie',
    make: sending(async (_, tell) => {
      await tell()
      return { reset: true }
    }),
  },
  {
    name: 'funds said to be missing',
    kind: 'lie',
    make: sending(({ id }) => refusal(id, 'insufficient funds for gas * price + value')),
  },
  { name: 'balance of nothing', kind: 'lie', make: patched(['eth_getBalance'], () => '0x0') },
  {
    name: 'balance without end',
    kind: 'lie',
    harmless: true,
    make: patched(['eth_getBalance'], () => hex(2n ** 200n)),
  },
  { name: 'nonce too low', kind: 'lie', make: patched(['eth_getTransactionCount'], () => '0x0') },
  {
    name: 'nonce too high',
    kind: 'lie',
    make: patched(['eth_getTransactionCount'], (n) => hex(Number(n) + 50)),
  },
  { name: 'gas estimate absurd', kind: 'lie', make: patched(['eth_estimateGas'], () => hex(2n ** 60n)) },
  { name: 'gas estimate of nothing', kind: 'lie', make: patched(['eth_estimateGas'], () => '0x0') },
  { name: 'gas price absurd', kind: 'lie', make: patched(['eth_gasPrice'], () => hex(10n ** 15n)) },
  {
    name: 'base fee absurd',
    kind: 'lie',
    make: patched(['eth_getBlockByNumber'], (b) => withFields(b, ['baseFeePerGas'], () => hex(10n ** 15n))),
  },
  {
    name: 'no base fee',
    kind: 'lie',
    harmless: true,
    make: patched(['eth_getBlockByNumber'], (b) => withFields(b, ['baseFeePerGas'], () => null)),
  },
]

/**
 * Gas of every step, each a mined transaction on anvil with calldata and base cost, as a user pays it. Run by itself it
 * writes contracts/gas.json and the tables of contracts/README.md; gas.test.ts holds both to what is measured.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Codec } from '../../src/chain/codec.ts'
import { devTokenAbi } from '../../src/chain/abi.ts'
import type { ClaimGroup, ClaimRow } from '../../src/chain/channels.ts'
import type { TxReceipt } from '../../src/chain/chain.ts'
import { Token } from '../../src/chain/token.ts'
import { releaseDigest, toHex, voucherDigest } from '../../src/core/typed.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { startMarket } from './market.ts'
import type { Market } from './market.ts'

export const GAS_FILE = join(import.meta.dirname, '../../contracts/gas.json')
export const README_FILE = join(import.meta.dirname, '../../contracts/README.md')

export type Gas = Record<string, number>
export type GasTable = { native: Gas; token: Gas }

const [DEVELOPER, HOST, CLIENT, SIGNER, PERMITTING, DEPLOYER] = [1, 2, 3, 4, 5, 9]

export async function measure(): Promise<GasTable> {
  const market = await startMarket()
  try {
    const { address } = market.signer(CLIENT)
    const token = market.deployment.token ?? NATIVE
    await new Token(market.chain, token).transfer(market.wallet(DEPLOYER), address, 10n ** 14n, market.signal)
    const approve = new Codec(devTokenAbi).encode('approve', [market.deployment.contracts.channels, 10n ** 14n])
    await market.wallet(CLIENT).send({ to: token, data: approve }, 'approve', market.signal)
    const [native, byAllowance] = [await measureIn(market, NATIVE), await measureIn(market, token)]
    return { native, token: { ...byAllowance, ...(await measurePermits(market, token)) } }
  } finally {
    await market.close()
  }
}

async function measureIn(market: Market, token: Hex): Promise<Gas> {
  const { channels, signal } = market
  const [client, host, developer] = [CLIENT, HOST, DEVELOPER].map((i) => market.wallet(i)) as [Wallet, Wallet, Wallet]
  const bench = makeBench(market, token)
  const gas: Gas = {}
  const note = (what: string, receipt: TxReceipt | undefined) => (gas[what] = Number(receipt?.gasUsed))
  const claim = async (groups: ClaimGroup[]) => (await channels.claim(host, groups, signal)).receipt

  const task = await bench.publish()
  gas['publish a task'] = task.gas
  const fees = [{ payee: developer.address, taskIds: [task.id] }]
  const fresh = bench.terms()
  note('open', await channels.open(client, fresh, bench.deposit, signal))
  note('claim: first ever of host, task and channel', await claim([bench.group(fresh, [task.id], 1)]))
  note('claim: later, one row', await claim([bench.group(fresh, [task.id], 2)]))
  note('top up', await channels.topUp(client, fresh, bench.deposit, signal))

  const ten = Array.from({ length: 10 }, () => bench.terms())
  for (const terms of ten) await channels.open(client, terms, bench.deposit, signal)
  note('claim: first of ten channels, per row', await claim(ten.map((t) => bench.group(t, [task.id], 1))))
  note('claim: later, ten channels, per row', await claim(ten.map((t) => bench.group(t, [task.id], 2))))
  const tasks: Hex[] = []
  while (tasks.length < 10) tasks.push((await bench.publish()).id)
  note('claim: first of ten tasks in a channel, per row', await claim([bench.group(fresh, tasks, 1)]))
  note('claim: later, ten tasks in a channel, per row', await claim([bench.group(fresh, tasks, 2)]))
  for (const what of Object.keys(gas)) if (what.endsWith('per row')) gas[what] = Math.round((gas[what] ?? 0) / 10)
  note("withdraw a host's credit", await channels.withdraw(host, token, host.address, signal))
  note(
    "withdraw a developer's fees",
    await channels.withdrawTasks(developer, token, developer.address, [task.id], signal),
  )
  note('start to close', await channels.startClose(client, fresh, signal))
  await market.later(86_401)
  note('finish after the delay', await channels.finishClose(client, fresh, signal))
  const [first] = ten
  const signature = bench.release(first ?? never(), 0n)
  note('release by the host’s signature', await channels.release(client, first ?? never(), 0n, signature, signal))

  const alone = bench.terms()
  const parts = [
    await channels.open(client, alone, bench.deposit, signal),
    (await channels.collect(host, [bench.group(alone, [task.id], 1)], token, fees, signal)).receipt,
    await channels.startClose(client, alone, signal),
  ]
  await market.later(86_401)
  parts.push(await channels.finishClose(client, alone, signal))
  gas['1,000 jobs: open, claim with withdrawals, close, finish'] = sum(parts)
  for (const [what, taskId] of [
    ['1,000 jobs: open, then all the rest in one', task.id],
    ['1,000 jobs: the same for the first claim ever of a task', (await bench.publish()).id],
  ] as const) {
    const terms = bench.terms()
    const opened = await channels.open(client, terms, bench.deposit, signal)
    const payOut = { host: true, developers: [{ payee: developer.address, taskIds: [taskId] }] }
    const ended = await channels.end(host, bench.group(terms, [taskId], 1), bench.total, payOut, signal)
    gas[what] = sum([opened, ended.receipt])
  }
  return gas
}

/** By a client that never approved anything; beside it what an approval costs another. */
async function measurePermits(market: Market, token: Hex): Promise<Gas> {
  const { chain, channels, signal, deployment } = market
  const [client, wallet] = [market.signer(PERMITTING), market.wallet(PERMITTING)]
  const bench = makeBench(market, token)
  const erc20 = new Token(chain, token)
  await erc20.transfer(market.wallet(DEPLOYER), client.address, 10n ** 14n, signal)
  const terms = { ...bench.terms(), client: client.address }
  const permit = () => erc20.signPermit(client, deployment.contracts.channels, bench.deposit, 2n ** 40n, signal)
  const authority = client.sign(channels.openDigest(terms, bench.deposit))
  const opened = await channels.openWithPermit(wallet, terms, bench.deposit, authority, await permit(), signal)
  const grown = await channels.topUpWithPermit(wallet, terms, bench.deposit, await permit(), signal)
  const approve = new Codec(devTokenAbi).encode('approve', [deployment.contracts.channels, bench.deposit])
  const approved = await wallet.send({ to: token, data: approve }, 'approve', signal)
  const topped = await channels.topUp(wallet, terms, bench.deposit, signal)
  return {
    'open with a permit': Number(opened.gasUsed),
    'top up with a permit': Number(grown.gasUsed),
    'top up with an approval before it': sum([approved, topped]),
  }
}

type Wallet = ReturnType<Market['wallet']>

/** Amounts as large as real ones, so that calldata costs what it really does; a thousand jobs a claim. */
function makeBench(market: Market, token: Hex) {
  const { channels, chain, signal } = market
  const unit = token === NATIVE ? 10n ** 15n : 1000n
  const [hostAmount, fee] = [123n * unit, unit / 7n]
  let serial = token === NATIVE ? 0 : 1000
  const word = (bytes: number) => {
    const digest = Buffer.from(channels.idOf({ ...blank, salt: toHex(Buffer.alloc(32, ++serial)) }).slice(2), 'hex')
    return toHex(Buffer.concat([Buffer.alloc(32 - bytes), digest.subarray(0, bytes)]))
  }
  const row = (terms: ChannelTerms, taskId: Hex, round: number): ClaimRow => {
    const amounts = { hostAmount: hostAmount * BigInt(round), developerAmount: 1000n * fee * BigInt(round) }
    const voucher = { channelId: channels.idOf(terms), taskId, jobs: 1000 * round, ...amounts }
    return { ...voucher, signature: market.signer(SIGNER).sign(voucherDigest(chain.domain, voucher)) }
  }
  return {
    deposit: token === NATIVE ? 50n * 10n ** 18n : 10n ** 10n,
    total: hostAmount + 1000n * fee,
    /** Salts of 8 bytes, as the node makes them. */
    terms: (): ChannelTerms => {
      const [client, signer, host] = [CLIENT, SIGNER, HOST].map((i) => market.signer(i).address) as [Hex, Hex, Hex]
      return { client, signer, host, token, closeDelaySeconds: 86_400, salt: word(8) }
    },
    group: (terms: ChannelTerms, taskIds: readonly Hex[], round: number): ClaimGroup => ({
      terms,
      rows: taskIds.map((id) => row(terms, id, round)),
    }),
    release: (terms: ChannelTerms, claimed: bigint) =>
      market.signer(HOST).sign(releaseDigest(chain.domain, channels.idOf(terms), claimed)),
    publish: async () => {
      const id = word(32)
      const wallet = market.wallet(DEVELOPER)
      const task = { taskId: id, fee, token, payee: wallet.address, name: 'word-count', version: `1.${++serial}.0` }
      return { id, gas: Number((await market.tasks.publish(wallet, task, signal)).gasUsed) }
    },
  }
}

const blank = { client: NATIVE, signer: NATIVE, host: NATIVE, token: NATIVE, closeDelaySeconds: 0 } as const

function sum(receipts: readonly (TxReceipt | undefined)[]): number {
  return receipts.reduce((total, receipt) => total + Number(receipt?.gasUsed), 0)
}

function never(): never {
  throw new Error('the bench made nothing')
}

/** The tables of contracts/README.md. */
export function render({ native, token }: GasTable): string {
  const figure = (n: number | undefined) => (n === undefined ? '' : Math.round(n).toLocaleString('en'))
  const steps = Object.keys({ ...native, ...token }).map(
    (what) => `| ${what} | ${figure(native[what])} | ${figure(token[what])} |`,
  )
  const perJob = [
    'claim: later, one row',
    'claim: later, ten channels, per row',
    'claim: later, ten tasks in a channel, per row',
  ]
  const jobs = [native, token].flatMap((gas, i) =>
    perJob.map((what) => {
      const shares = [1, 10, 100, 1000].map((n) => figure((gas[what] ?? 0) / n))
      return `| ${i === 0 ? 'native' : 'ERC-20'}: ${what.slice('claim: later, '.length)} | ${shares.join(' | ')} |`
    }),
  )
  return [
    '| step | native | ERC-20 |',
    '| --- | ---: | ---: |',
    ...steps,
    '',
    '| gas per job of a claim that covers … jobs a row | 1 | 10 | 100 | 1,000 |',
    '| --- | ---: | ---: | ---: | ---: |',
    ...jobs,
  ].join('\n')
}

const [BEGIN, END] = ['<!-- gas: written by test/chain/gas.ts -->', '<!-- end of gas -->']

export function withTables(readme: string, tables: string): string {
  const [start, end] = [readme.indexOf(BEGIN), readme.indexOf(END)]
  if (start < 0 || end < start) throw new Error('contracts/README.md has lost its marks for the gas tables')
  return `${readme.slice(0, start + BEGIN.length)}\n\n${tables}\n\n${readme.slice(end)}`
}

if (import.meta.main) {
  const table = await measure()
  writeFileSync(GAS_FILE, `${JSON.stringify(table, undefined, 2)}\n`)
  writeFileSync(README_FILE, withTables(readFileSync(README_FILE, 'utf8'), render(table)))
}

/**
 * What people read when money is refused: amounts with their currency, in the chain's own and in a token, from whichever
 * side they come. Nobody can tell 1000000000000000 of something from 1000000.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { taskIdOf } from '../../src/core/cid.ts'
import { MecaError } from '../../src/core/errors.ts'
import { admit, emptyRow, nextVoucher, requireClaimable } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import { billOf, STATUS } from '../../src/core/receipt.ts'
import type { ChannelRecord } from '../../src/core/records.ts'
import type { Price } from '../../src/core/tariff.ts'
import { makeDomain } from '../../src/core/typed.ts'
import { MAX_AMOUNT, NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import type { JobRequest } from '../../src/core/wire.ts'
import { checkRequest } from '../../src/role/admission.ts'
import { Currencies } from '../../src/role/currencies.ts'
import { takeVoucher } from '../../src/role/host-vouchers.ts'
import type { KnownTask } from '../../src/role/tasks.ts'
import { formatManifest, parseManifest } from '../../src/task/package.ts'
import { openBook, word } from './home.ts'

const MUSD: Hex = `0x${'aa'.repeat(20)}`
const SOMEBODY: Hex = `0x${'01'.repeat(20)}`
const DOMAIN = makeDomain(1, `0x${'cc'.repeat(20)}`)
const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const RESOURCES = { cpuMillis: 1000, memoryBytes: 2 ** 26, gpus: 0 }
const currencies = new Currencies([
  { address: NATIVE, symbol: 'ETH', decimals: 18 },
  { address: MUSD, symbol: 'MUSD', decimals: 6 },
])
const MARKETS = [
  { token: NATIVE, symbol: 'ETH', one: 10n ** 18n, other: { token: MUSD, symbol: 'MUSD' } },
  { token: MUSD, symbol: 'MUSD', one: 10n ** 6n, other: { token: NATIVE, symbol: 'ETH' } },
]

function said(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    assert.ok(error instanceof MecaError, String(error))
    // Five digits in a row are an amount that nobody converted; addresses and CIDs are words with letters in them.
    assert.doesNotMatch(error.message, /\b[0-9]{5,}\b/)
    return error.message
  }
  return assert.fail('nothing was refused')
}

function taskIn(token: Hex, fee: bigint): KnownTask {
  const manifest = parseManifest(
    formatManifest({
      schemaVersion: 1,
      name: 'patient',
      version: '1.0.0',
      title: 'patient',
      description: '',
      format: 'meca',
      developer: SOMEBODY,
      fee,
      token,
      image: {
        manifest: `sha256:${'ab'.repeat(32)}`,
        id: `sha256:${'ab'.repeat(32)}`,
        platform: 'linux/amd64',
        bytes: 1,
      },
      resources: RESOURCES,
      determinism: 'none',
      needsNetwork: false,
      descriptor: 'config.json',
    }),
  )
  const taskId = taskIdOf(CID)
  const named = { name: 'patient', version: '1.0.0', retired: false }
  const entry = { taskId, developer: SOMEBODY, payee: SOMEBODY, fee, token, ...named }
  return { cid: CID, taskId, manifest, descriptor: '', entry }
}

function policyIn(token: Hex, perJob: bigint) {
  return {
    tariffs: [{ token, perJob, perCpuSecond: 0n, perGibSecond: 0n, perGpuSecond: 0n }],
    total: RESOURCES,
    formats: ['meca'],
    runtimes: ['runc'],
    platform: 'linux/amd64',
    allowsNetwork: false,
    maxSeconds: 60,
    maxInputBytes: 1000,
    maxOutputBytes: 1000,
    maxFilesInputBytes: 1000,
    minCloseDelaySeconds: 1,
  }
}

for (const { token, symbol, one, other } of MARKETS) {
  const show = (amount: bigint) => currencies.show(amount, token)
  const totals = (jobs: number, hostAmount: bigint, developerAmount: bigint): Totals => ({
    jobs,
    hostAmount,
    developerAmount,
  })

  test(`${symbol}: a host that refuses a price says both in coins`, () => {
    const policy = policyIn(token, 3n * one)
    const context = { domain: DOMAIN, host: SOMEBODY, policy, offered: () => policy.tariffs, currencies, now: 0 }
    const task = taskIn(token, one / 2n)
    const price: Price = { token, hostAmount: 3n * one, developerAmount: one / 2n, maxSeconds: 10 }
    const asked = (change: Partial<Price>) => {
      const request: JobRequest = {
        id: 'j',
        task: CID,
        inputHash: word(1),
        inputBytes: 1,
        price: { ...price, ...change },
        basis: { offer: 1 },
        resources: RESOURCES,
        providers: [],
      }
      return () => checkRequest(context, request, task)
    }
    asked({})()
    assert.match(
      said(asked({ hostAmount: one / 4n })),
      new RegExp(`costs up to 3 ${symbol}, the job offers 0\\.25 ${symbol}`),
    )
    assert.match(said(asked({ developerAmount: 0n })), new RegExp(`fee is 0\\.5 ${symbol}, the job offers 0 ${symbol}`))
    assert.match(said(asked({ token: other.token })), new RegExp(`sold in ${symbol}, the job offers ${other.symbol}`))
  })

  test(`${symbol}: a host that refuses a voucher says what is there and what is missing in coins`, async (t) => {
    const { book } = await openBook(t, 'host')
    const terms = { client: SOMEBODY, signer: SOMEBODY, host: SOMEBODY, token, closeDelaySeconds: 900, salt: word(9) }
    const channel: ChannelRecord = {
      channelId: word(2),
      side: 'host',
      terms,
      state: 'open',
      deposit: 2n * one,
      claimed: 0n,
      closesAt: 0,
      createdAt: 0,
    }
    const task = taskIn(token, one / 2n)
    const taken = (voucher: Totals, sold = task) => {
      const signed = { ...voucher, taskId: task.taskId, signature: `0x${'00'.repeat(65)}` as const }
      return () => takeVoucher(DOMAIN, book, channel, signed, sold, currencies)
    }
    assert.match(
      said(taken(totals(1, 2n * one, one / 2n))),
      new RegExp(`reach 2\\.5 ${symbol}, its deposit is 2 ${symbol}`),
    )
    assert.match(
      said(taken(totals(3, one / 2n, one / 2n))),
      new RegExp(`has 0\\.5 ${symbol} for the developer, 3 jobs of 0\\.5 ${symbol} need 1\\.5 ${symbol}`),
    )
    assert.match(
      said(taken(totals(1, one / 2n, one / 2n), taskIn(other.token, 0n))),
      new RegExp(`sold in ${other.symbol}, the channel holds ${symbol}`),
    )
  })

  test(`${symbol}: the ledger and receipts speak in coins where they are told how`, () => {
    const price: Price = { token, hostAmount: one, developerAmount: one / 2n, maxSeconds: 10 }
    assert.match(
      said(() => admit(emptyRow(), price, show)),
      new RegExp(`1\\.5 ${symbol} needed, 0 ${symbol} vouched`),
    )
    assert.match(
      said(() => requireClaimable(totals(2, 0n, 0n), one, show)),
      new RegExp(`2 jobs of 1 ${symbol} need 2 ${symbol}`),
    )
    assert.throws(() => nextVoucher(emptyRow(), [{ ...price, hostAmount: MAX_AMOUNT }], show), {
      code: 'payment',
      message: new RegExp(`would say [0-9.]+ ${symbol}, the largest amount is [0-9.]+ ${symbol}`),
    })
    const receipt = {
      channelId: word(1),
      jobHash: word(1),
      taskId: word(1),
      inputHash: word(1),
      outputHash: word(1),
      status: STATUS.answered,
      hostAmount: 2n * one,
      developerAmount: one / 2n,
      startedAt: 0,
      endedAt: 0,
    }
    assert.match(
      said(() => billOf(receipt, price, show)),
      new RegExp(`billed 2 ${symbol} \\+ 0\\.5 ${symbol} .* at most 1 ${symbol} \\+ 0\\.5 ${symbol}`),
    )
  })
}

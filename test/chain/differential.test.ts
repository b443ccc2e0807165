/**
 * P5 I22: what TypeScript takes for a signature is what the contract takes, over random vouchers and random damage to
 * them. Rows are judged by eth_call in batches. DIFFERENTIAL_ROWS sets how many (1,000 where absent), DIFFERENTIAL_SEED
 * which ones.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { channelsAbi } from '../../src/chain/abi.ts'
import type { ClaimRow } from '../../src/chain/channels.ts'
import { Codec } from '../../src/chain/codec.ts'
import { recover } from '../../src/core/signature.ts'
import { channelIdOf, makeDomain, voucherDigest } from '../../src/core/typed.ts'
import type { ChannelTerms, Voucher } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { startMarket } from './market.ts'
import type { Market } from './market.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const ROWS = Number(process.env['DIFFERENTIAL_ROWS'] ?? 1000)
const SEED = process.env['DIFFERENTIAL_SEED'] ?? '1'
const BATCH = 200
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n

let market: Market
before(async () => {
  if (skip === false) market = await startMarket({ args: ['--disable-block-gas-limit'] })
})
after(async () => {
  if (skip === false) await market.close()
})

/** The same numbers for the same seed, so that a disagreement can be seen again. */
function makeRandom(seed: string) {
  let count = 0
  const word = (): Hex => `0x${createHash('sha256').update(`${seed}/${count++}`).digest('hex')}`
  const below = (limit: number) => Number(BigInt(word()) % BigInt(limit))
  return { word, below }
}

type Random = ReturnType<typeof makeRandom>

const hex = (n: bigint) => n.toString(16).padStart(64, '0')
const join = (r: bigint, s: bigint, v: number): Hex => `0x${hex(r)}${hex(s)}${v.toString(16).padStart(2, '0')}`

/** Damage to a signature or to what is signed; the first does none. */
const DAMAGE: ((row: ClaimRow, random: Random) => ClaimRow)[] = [
  (row) => row,
  (row, { below }) => {
    const at = 2 + below(130)
    const digit = ((Number.parseInt(row.signature[at] ?? '0', 16) + 1 + below(15)) % 16).toString(16)
    return { ...row, signature: `${row.signature.slice(0, at)}${digit}${row.signature.slice(at + 1)}` as Hex }
  },
  (row, { below }) => withV(row, below(256)),
  (row, { below }) => withV(row, [0, 1, 26, 27, 28, 29][below(6)] ?? 0),
  (row) => mirrored(row),
  (row, { word }) => ({ ...row, signature: join(BigInt(word()), BigInt(word()), 27) }),
  (row, { below }) => extreme(row, below(6)),
  (row) => ({ ...row, hostAmount: row.hostAmount + 1n }),
  (row) => ({ ...row, developerAmount: row.developerAmount + 1n }),
  (row) => ({ ...row, jobs: row.jobs + 1 }),
]

function withV(row: ClaimRow, v: number): ClaimRow {
  return { ...row, signature: `${row.signature.slice(0, 130)}${v.toString(16).padStart(2, '0')}` as Hex }
}

/** The other signature that mathematics allows for the same key and digest: s is high. */
function mirrored(row: ClaimRow): ClaimRow {
  const [r, s] = [BigInt(row.signature.slice(0, 66)), BigInt(`0x${row.signature.slice(66, 130)}`)]
  return { ...row, signature: join(r, ORDER - s, row.signature.endsWith('1b') ? 28 : 27) }
}

function extreme(row: ClaimRow, which: number): ClaimRow {
  const r = BigInt(row.signature.slice(0, 66))
  const edges = [0n, 1n, ORDER / 2n, ORDER / 2n + 1n, ORDER, 2n ** 256n - 1n]
  const edge = edges[which] ?? 0n
  return { ...row, signature: which % 2 === 0 ? join(r, edge, 27) : join(edge, ORDER / 2n, 28) }
}

test(`P5 I22 ${ROWS} vouchers, sound and damaged: no disagreement (seed ${SEED})`, { skip }, async () => {
  const { channels, chain, signal } = market
  const random = makeRandom(SEED)
  const [client, signer, host] = [3, 4, 2].map((i) => market.signer(i).address) as [Hex, Hex, Hex]
  const terms: ChannelTerms = { client, signer, host, token: NATIVE, closeDelaySeconds: 900, salt: random.word() }
  await channels.open(market.wallet(3), terms, 10n ** 21n, signal)
  const taskId = random.word()
  const payee = market.signer(1).address
  const task = { taskId, fee: 0n, token: NATIVE, payee, name: 'free', version: '1' }
  await market.tasks.publish(market.wallet(1), task, signal)
  const channelId = channels.idOf(terms)
  const counts = { accepted: 0, refused: 0 }
  for (let done = 0; done < ROWS; done += BATCH) {
    const rows = Array.from({ length: Math.min(BATCH, ROWS - done) }, (_, i) => {
      // Steps of ten, so that damaged amounts never make the next sound row stale.
      const n = (i + 1) * 10
      const voucher = { channelId, taskId, jobs: n, hostAmount: BigInt(n) * 10n ** 12n, developerAmount: BigInt(n) }
      const signature = market.signer(4).sign(voucherDigest(chain.domain, voucher))
      const damage = DAMAGE[random.below(DAMAGE.length)]
      return damage?.({ ...voucher, signature }, random) ?? { ...voucher, signature }
    })
    const outcomes = await channels.dryClaim([{ terms, rows }], host, signal)
    rows.forEach((row, i) => {
      const voucher: Voucher = { channelId, ...row }
      const here = recover(voucherDigest(chain.domain, voucher), row.signature) === signer
      const there = outcomes[i]?.skip
      assert.equal(there, here ? 'none' : 'bad_signature', `seed ${SEED}, row ${done + i}: ${row.signature}`)
      counts[here ? 'accepted' : 'refused']++
    })
  }
  assert.ok(counts.accepted > ROWS / 20 && counts.refused > ROWS / 2, JSON.stringify(counts))
})

test(
  'I10 I22 channel ids of random terms: no disagreement, and no id without its chain and contract',
  { skip },
  async () => {
    const { chain, signal } = market
    const random = makeRandom(`${SEED}/terms`)
    const codec = new Codec(channelsAbi)
    const address = (): Hex => `0x${random.word().slice(26)}`
    for (let i = 0; i < 200; i++) {
      const terms = { client: address(), signer: address(), host: address(), token: address(), salt: random.word() }
      const closeDelay = BigInt(random.below(2 ** 40))
      const there = await chain.read(codec, chain.domain.channels, 'channelId', [{ ...terms, closeDelay }], signal)
      const here = (chainId: number, channels: Hex) =>
        channelIdOf(makeDomain(chainId, channels), { ...terms, closeDelaySeconds: Number(closeDelay) })
      assert.equal(here(chain.domain.chainId, chain.domain.channels), there)
      assert.notEqual(here(chain.domain.chainId + 1, chain.domain.channels), there)
      assert.notEqual(here(chain.domain.chainId, address()), there)
    }
  },
)

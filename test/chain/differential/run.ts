/**
 * `npm run differential -- --rows 100000 --seed N`: random signed messages and channel ids, sound and damaged, judged by
 * TypeScript and by the contracts on a chain. Both must say the same, and what is damaged must be refused. Prints counts
 * by kind; exits with 1 at any disagreement. However few rows are asked for, every form of damage has its turn.
 */
import { parseArgs } from 'node:util'
import { makeSigner } from '../../../src/core/signature.ts'
import { askAll } from './ask.ts'
import { compareClaims } from './claims.ts'
import { damagesOf } from './damage.ts'
import type { Damage, Signed } from './damage.ts'
import { openSite } from './ground.ts'
import type { Site } from './ground.ts'
import { ID_DAMAGES, compareIds } from './ids.ts'
import type { Kind } from './kind.ts'
import { PAYMENT_KINDS } from './payments.ts'
import { makeRandom } from './random.ts'
import type { Random } from './random.ts'
import { RECEIPT_KINDS } from './receipts.ts'
import { Tally, isSound, rowsForAll } from './tally.ts'
import { TEXT_KINDS } from './texts.ts'

/**
 * Shares of a hundred rows; a kind gets more where it would not meet every form of damage. What ethers judges takes it
 * a millisecond a row.
 */
const SHARES: Readonly<Record<string, number>> = {
  voucher: 30,
  receipt: 12,
  'receipt in a tree': 12,
  release: 5,
  claimer: 5,
  open: 6,
  offer: 4,
  quote: 3,
  hello: 3,
}
const SHARE_OF_IDS = 12
const SHARE_OF_CLAIMS = 8
/** Ten sequences: each begins anew and meets most of what can be wrong. */
const LEAST_CLAIMS = 400

/** At least so many rows of every kind that the shares say, on a chain that is there. */
export async function compareAll(site: Site, rows: number, random: Random, tally: Tally): Promise<void> {
  const share = (percent: number) => Math.ceil((rows * percent) / 100)
  for (const kind of [...PAYMENT_KINDS, ...RECEIPT_KINDS, ...TEXT_KINDS]) {
    const enough = Math.max(share(SHARES[kind.name] ?? 1), rowsForAll(damagesOf(kind)))
    await compareKind(site, kind, random.fork(kind.name), enough, tally)
  }
  await compareIds(site, random.fork('ids'), Math.max(share(SHARE_OF_IDS), rowsForAll(ID_DAMAGES)), tally)
  await compareClaims(site, random.fork('claims'), Math.max(share(SHARE_OF_CLAIMS), LEAST_CLAIMS), tally)
}

const BATCH = 1000

export async function compareKind(site: Site, kind: Kind, random: Random, rows: number, tally: Tally): Promise<void> {
  const damages = damagesOf(kind)
  for (let done = 0; done < rows; done += BATCH) {
    const cases = Array.from({ length: Math.min(BATCH, rows - done) }, (_, i) => {
      const damage = isSound(i) ? undefined : tally.next(kind.name, damages, random)
      return { damage, ...makeCase(site, kind, damage, random) }
    })
    const verdicts = await judge(
      site,
      kind,
      cases.map(({ shown }) => shown),
    )
    for (const [i, { damage, sound, shown }] of cases.entries()) {
      const [here, there] = [kind.here(site, shown), verdicts[i] === true]
      // A form like "v 27" is no damage to a signature that has it already.
      const wanted = damage === undefined || (damage.shown !== undefined && sameAs(sound, shown))
      const tell = () =>
        `TypeScript ${here}, the other ${there}; ${JSON.stringify(shown.fields)} ${shown.signature.toString('hex')}`
      tally.count(kind.name, damage, here === there && here === wanted, here, tell)
    }
  }
}

function makeCase(
  site: Site,
  kind: Kind,
  damage: Damage | undefined,
  random: Random,
): { sound: Signed; shown: Signed } {
  const fields = kind.make(site, random)
  const domain = damage?.domain?.(site.domain, random) ?? site.domain
  const signer = damage?.stranger === true ? makeSigner(random.bytes(32)) : kind.signer(site)
  const signed = kind.sign(domain, signer, damage?.fields?.(fields, random) ?? fields, random)
  const sound = { ...signed, fields }
  return { sound, shown: damage?.shown?.(sound, random) ?? sound }
}

function sameAs(a: Signed, b: Signed): boolean {
  const text = ({ fields, signature, proof }: Signed) => JSON.stringify([fields, signature.toString('hex'), proof])
  return text(a) === text(b)
}

async function judge(site: Site, { there }: Kind, shown: readonly Signed[]): Promise<boolean[]> {
  if ('opinion' in there) return shown.map((signed) => there.opinion(site, signed))
  const questions = shown.map((signed) => there.call(site, signed))
  return (await askAll(site.market.url, questions)).map((reply) => there.accepted(reply))
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { rows: { type: 'string' }, seed: { type: 'string' } } })
  const [rows, seed] = [Number(values.rows ?? 100_000), values.seed ?? '1']
  if (!(rows > 0)) throw new Error(`--rows takes a number above 0, got ${values.rows}`)
  const startedAt = performance.now()
  const random = makeRandom(seed)
  const tally = new Tally()
  const site = await openSite(random.fork('site'))
  try {
    await compareAll(site, rows, random, tally)
  } finally {
    await site.market.close()
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  process.stdout.write(
    `${tally.toString()}\n${tally.rows} rows in ${seconds} s, seed ${seed}: ${tally.disagreed} disagreements\n`,
  )
  for (const told of tally.disagreements) process.stdout.write(`${told}\n`)
  if (tally.disagreed > 0) process.exitCode = 1
}

if (import.meta.main) await main()

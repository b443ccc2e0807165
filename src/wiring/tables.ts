/** Every table of a home folder in one place: what is money (ledger) and what may be lost (plain). */
import { z } from 'zod'
import type { Intent } from '../chain/wallet.ts'
import { PHASES } from '../core/job.ts'
import { zChannelRecord, zClientJob, zHostJob, zRowRecord } from '../core/records.ts'
import { zExperience } from '../core/experience.ts'
import { zAddress, zAmount, zCid, zCount, zHash } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { Store } from '../store/store.ts'
import { jsonCodec } from '../store/tables.ts'

const zRaw = z.custom<Hex>((v) => typeof v === 'string' && /^0x[0-9a-f]*$/.test(v))
const zIntent: z.ZodType<Intent> = z.strictObject({
  id: z.string(),
  chainId: zCount,
  from: zRaw,
  nonce: zCount,
  what: z.string(),
  raw: z.array(zRaw),
  hashes: z.array(zHash),
  createdAtMs: zCount,
})

const zPayout = z.strictObject({ tx: zHash, token: zAddress, to: zAddress, amount: zAmount, at: zCount })

const zHostExperience = zExperience.extend({ host: zAddress }).strict()

const zPhaseRow = z.strictObject({ phase: z.enum(PHASES), at: zCount })

const MONEY = { ledger: true }
const PLAIN = { ledger: false }

export function openTables(store: Store) {
  return {
    channels: store.table('channels', jsonCodec(zChannelRecord), MONEY),
    rows: store.table('rows', jsonCodec(zRowRecord), MONEY),
    hostJobs: store.table('host-jobs', jsonCodec(zHostJob), MONEY),
    clientJobs: store.table('client-jobs', jsonCodec(zClientJob), MONEY),
    intents: store.table('intents', jsonCodec(zIntent), MONEY),
    /** What was drawn out of the contract, by transaction. */
    payouts: store.table('payouts', jsonCodec(zPayout), MONEY),
    outputs: store.table('outputs', jsonCodec(z.string()), PLAIN),
    keptOutputs: store.table('kept-outputs', jsonCodec(zCid), PLAIN),
    clientOutputs: store.table('client-outputs', jsonCodec(z.string()), PLAIN),
    experience: store.table('experience', jsonCodec(z.array(zHostExperience)), PLAIN),
    phases: store.table('phases', jsonCodec(zPhaseRow), PLAIN),
    acks: store.table('acks', jsonCodec(zCount), PLAIN),
    images: store.table('images', jsonCodec(zCid), PLAIN),
    logs: store.table(
      'logs',
      jsonCodec(z.array(z.strictObject({ stream: z.enum(['stdout', 'stderr']), text: z.string() }))),
      PLAIN,
    ),
  }
}

export type Tables = ReturnType<typeof openTables>

/** Intents of the wallet, each on disk before it is broadcast. */
export function intentStore(store: Store, intents: Tables['intents']) {
  return {
    put: (intent: Intent) => store.commit({ journal: [{ kind: 'intent' }], rows: [intents.put(intent.id, intent)] }),
    list: async () => {
      const all: Intent[] = []
      for await (const [, intent] of intents.entries()) all.push(intent)
      return all
    },
    remove: (id: string) => store.commit({ journal: [{ kind: 'intent-done' }], rows: [intents.del(id)] }),
  }
}

/** Random words that are the same for the same seed, so that a disagreement can be seen again. */
import { createHash } from 'node:crypto'
import type { Hex } from '../../../src/core/units.ts'

export type Random = {
  bytes(count: number): Buffer
  hex(count: number): Hex
  /** 0 to limit - 1. */
  below(limit: number): number
  pick<T>(from: readonly T[]): T
  /** Another one, which does not depend on how much was taken from this one. */
  fork(name: string): Random
}

export function makeRandom(seed: string): Random {
  let count = 0
  let pool = Buffer.alloc(0)
  const bytes = (wanted: number): Buffer => {
    while (pool.length < wanted) {
      pool = Buffer.concat([pool, createHash('sha512').update(`${seed}/${count++}`).digest()])
    }
    const taken = pool.subarray(0, wanted)
    pool = pool.subarray(wanted)
    return Buffer.from(taken)
  }
  const below = (limit: number) => Number(bytes(8).readBigUInt64BE() % BigInt(limit))
  return {
    bytes,
    below,
    hex: (wanted) => `0x${bytes(wanted).toString('hex')}`,
    pick: (from) => {
      const [chosen] = from.slice(below(from.length))
      if (chosen === undefined) throw new Error('nothing to pick from')
      return chosen
    },
    fork: (name) => makeRandom(`${seed}/${name}`),
  }
}

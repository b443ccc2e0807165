/** See troubles.ts: each once. */
import { describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { TROUBLES } from './troubles.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false

describe('trouble', { skip }, () => {
  for (const { name, run } of TROUBLES) test(name, (t) => run(t))
})

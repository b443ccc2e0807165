/**
 * Defences of the program, each with the change that switches it off and the tests that must notice. A row whose tests
 * still pass is a hole in the tests. `npm run mutants` tries them all; the contracts' own are in scripts/contracts-mutants.ts.
 */

import { ARITHMETIC_MUTANTS } from './arithmetic.ts'
import { CHAIN_MUTANTS } from './chain.ts'
import { SIDES_MUTANTS } from './sides.ts'
import { STORE_MUTANTS } from './store.ts'

/** `from` stands in the file exactly once. `only` picks tests by their names, where a file has long ones. */
export type Mutant = { name: string; file: string; from: string; to: string; tests: readonly string[]; only?: string }

export const MUTANTS: readonly Mutant[] = [...STORE_MUTANTS, ...SIDES_MUTANTS, ...ARITHMETIC_MUTANTS, ...CHAIN_MUTANTS]

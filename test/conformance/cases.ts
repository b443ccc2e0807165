/** The cases of all contracts, in the order of the reference. */
import type { Case } from './case.ts'
import { BOREALIS } from './borealis.ts'
import { CYTOMINE } from './cytomine.ts'
import { KAAPANA } from './kaapana.ts'
import { MECA } from './meca.ts'

export const CASES: readonly Case[] = [...MECA, ...CYTOMINE, ...KAAPANA, ...BOREALIS]

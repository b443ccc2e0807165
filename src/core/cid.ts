/** How a task is named: by CID off chain, by the 32-byte digest of that CID on chain. */
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { MecaError } from './errors.ts'
import { fromHex, toHex } from './typed.ts'
import { quote } from './units.ts'
import type { Hex } from './units.ts'

const DAG_PB = 0x70
const SHA2_256 = 0x12

/** The on-chain name of the folder with this CID. Throws `bad_input` for anything but a CIDv1 dag-pb sha2-256. */
export function taskIdOf(cid: string): Hex {
  let parsed: CID
  try {
    parsed = CID.parse(cid)
  } catch (cause) {
    throw new MecaError('bad_input', `${quote(cid)} is not a CID`, {
      cause,
      cure: 'give the CID that meca task publish printed',
    })
  }
  const { code, size } = parsed.multihash
  if (parsed.version !== 1 || parsed.code !== DAG_PB || code !== SHA2_256 || size !== 32) {
    throw new MecaError('bad_input', `${cid} is not the CID of a task folder (CIDv1, dag-pb, sha2-256)`)
  }
  return toHex(parsed.multihash.digest)
}

export function cidOf(taskId: Hex): string {
  return CID.createV1(DAG_PB, Digest.create(SHA2_256, fromHex(taskId))).toString()
}

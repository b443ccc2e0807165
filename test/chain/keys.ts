/** The keys of anvil's well-known accounts, which own play money on every anvil. */
import { HDNodeWallet, Mnemonic } from 'ethers'
import { fromHex } from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'

const root = HDNodeWallet.fromMnemonic(
  Mnemonic.fromPhrase('test test test test test test test test test test test junk'),
  "m/44'/60'/0'/0",
)

export function hdKey(index: number): Uint8Array {
  return fromHex(root.deriveChild(index).privateKey as Hex)
}

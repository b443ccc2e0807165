/** Making a home folder ready before any node runs in it: a wallet, and for markets for play its password beside it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Hex } from '../core/units.ts'
import { openHome } from '../store/home.ts'
import { createWalletKey, keepPassword } from './keys.ts'

export type NewHome = {
  folder: string
  password: string
  /** 32 bytes; random where absent. */
  privateKey?: Uint8Array
  /** Rounds of the key derivation; only markets for play lower them. */
  rounds?: number
  /** Leaves the password in the folder, for a node that nobody types for. */
  keep?: boolean
  /** Text of the home's own config.yml. */
  config?: string
}

/** Throws `bad_input` where there is a wallet already, `home_in_use`, `home_unreadable`. */
export async function prepareHome({
  folder,
  password,
  privateKey,
  rounds,
  keep,
  config,
}: NewHome): Promise<{ address: Hex; file: string }> {
  const home = await openHome(folder, { floorBytes: 0, ballastBytes: 0 })
  try {
    const signer = await createWalletKey(home, password, {
      ...(privateKey === undefined ? {} : { privateKey }),
      ...(rounds === undefined ? {} : { rounds }),
    })
    if (keep === true) await keepPassword(home, password)
    if (config !== undefined) await writeFile(join(home.folder, 'config.yml'), config, { mode: 0o600 })
    return { address: signer.address, file: join(home.paths.keys, 'wallet.json') }
  } finally {
    await home.close()
  }
}

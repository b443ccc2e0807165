/** The node's own key: a keystore file in its home folder, opened with a password that is never on a command line. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createKeystore, openKeystore } from '../chain/keystore.ts'
import { MecaError } from '../core/errors.ts'
import { makeSigner } from '../core/signature.ts'
import type { Signer } from '../core/signature.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import { hasCode } from '../store/files.ts'
import type { Home } from '../store/home.ts'
import { createSecret, readSecret } from '../store/secrets.ts'

/** Where a password may stand for a node that nobody types for; readable by its owner alone. */
const PASSWORD_FILE = 'password'
const WALLET_FILE = 'wallet.json'

/** Whose wallet a folder holds, read without its password; undefined where there is none. Makes nothing. */
export async function walletAddress(homeFolder: string): Promise<Hex | undefined> {
  const file = join(homeFolder, 'keys', WALLET_FILE)
  const json = await readSecret(file).catch((error: unknown) => {
    if (hasCode(error, 'ENOTDIR')) return undefined
    throw error
  })
  if (json === undefined) return undefined
  const address = /"address"\s*:\s*"(?:0x)?([0-9a-fA-F]{40})"/.exec(json)?.[1]
  if (address !== undefined) return `0x${address.toLowerCase()}`
  throw new MecaError('bad_input', `${file} does not say whose key it is`, {
    cure: 'put a keystore (JSON v3) with its address there',
  })
}

/** For commands that make no home: a mistyped --home must not become one. Throws `not_found`. */
export async function requireWallet(homeFolder: string): Promise<void> {
  if ((await walletAddress(homeFolder)) === undefined) throw noWallet(homeFolder)
}

function noWallet(homeFolder: string): MecaError {
  return new MecaError('not_found', `There is no wallet in ${homeFolder}`, {
    cure: `make one with meca wallet create --home ${homeFolder}, or correct --home`,
  })
}

/** Throws `not_found` where there is no wallet, `would_ask` where nothing says its password, `unauthorized`. */
export async function openWalletKey(home: Home, password: string | undefined): Promise<Signer> {
  const file = join(home.paths.keys, WALLET_FILE)
  const json = await readSecret(file)
  if (json === undefined) throw noWallet(home.folder)
  return makeSigner(await openKeystore(json, await passwordFor(home, password)))
}

/** Makes a wallet; `rounds` of the key derivation are lowered only for markets that are for play. Throws `bad_input` where there is one. */
export async function createWalletKey(
  home: Home,
  password: string,
  options: { privateKey?: Uint8Array; rounds?: number } = {},
): Promise<Signer> {
  const key = options.privateKey ?? randomBytes(32)
  const json = await createKeystore(key, password, ...(options.rounds === undefined ? [] : [options.rounds]))
  failpoint('wallet.key-made')
  await createSecret(join(home.paths.keys, WALLET_FILE), json)
  return makeSigner(key)
}

/** Leaves the password beside the key, for daemons and markets for play. */
export async function keepPassword(home: Home, password: string): Promise<void> {
  await createSecret(join(home.paths.keys, PASSWORD_FILE), password)
}

async function passwordFor(home: Home, given: string | undefined): Promise<string> {
  if (given !== undefined) return given
  const kept = await readSecret(join(home.paths.keys, PASSWORD_FILE))
  if (kept !== undefined) return kept.replace(/\r?\n$/, '')
  throw new MecaError('would_ask', `The wallet in ${home.folder} is locked`, {
    cure: 'set MECA_PASSWORD_FILE or MECA_PASSWORD, or run it in a terminal to be asked',
  })
}

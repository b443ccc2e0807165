/**
 * A client's deposit into a channel, new or open, in one transaction. A token is not approved first: the client signs a
 * permit for exactly the amount, and for a new channel the word to open, and sends them along. A token without permits is
 * approved, which is a transaction of its own.
 */
import { MecaError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Signer } from '../core/signature.ts'
import type { ChannelTerms } from '../core/typed.ts'
import { NATIVE } from '../core/units.ts'
import type { Chain } from './chain.ts'
import type { Channels } from './channels.ts'
import { Token } from './token.ts'
import type { Permit } from './token.ts'
import type { Wallet } from './wallet.ts'

/** A transaction may wait for room for hours; who finds the permit meanwhile can give the contract its allowance, or open this very channel. */
const PERMIT_SECONDS = 86_400n

export type Depositor = { chain: Chain; channels: Channels; wallet: Wallet; signer: Signer }

/** Throws `insufficient_funds`, `chain_refused`, `chain_unreachable`. */
export async function openChannel(
  d: Depositor,
  terms: ChannelTerms,
  amount: bigint,
  signal: AbortSignal,
): Promise<void> {
  const mayMove = terms.token === NATIVE || (await isAllowed(d, terms.token, amount, signal))
  if (mayMove || !(await openedByPermit(d, terms, amount, signal)))
    await d.channels.open(d.wallet, terms, amount, signal)
}

/** The channel is open, and the signer its client. Throws as `openChannel` does. */
export async function topUpChannel(
  d: Depositor,
  terms: ChannelTerms,
  amount: bigint,
  signal: AbortSignal,
): Promise<void> {
  const mayMove = terms.token === NATIVE || (await isAllowed(d, terms.token, amount, signal))
  if (mayMove || !(await toppedUpByPermit(d, terms, amount, signal)))
    await d.channels.topUp(d.wallet, terms, amount, signal)
}

async function isAllowed(
  { chain, signer }: Depositor,
  token: ChannelTerms['token'],
  amount: bigint,
  signal: AbortSignal,
): Promise<boolean> {
  const erc20 = new Token(chain, token)
  await erc20.requireBalance(signer.address, amount, signal)
  return (await erc20.allowance(signer.address, chain.deployment.contracts.channels, signal)) >= amount
}

/** False where the token knows no permits, or not this one. */
async function openedByPermit(
  d: Depositor,
  terms: ChannelTerms,
  amount: bigint,
  signal: AbortSignal,
): Promise<boolean> {
  const { channels, wallet, signer } = d
  const permit = await permitFor(d, terms, amount, signal)
  if (permit === undefined) return false
  const authority = signer.sign(channels.openDigest(terms, amount))
  try {
    await channels.openWithPermit(wallet, terms, amount, authority, permit, signal)
    return true
  } catch (error) {
    if (!hasCode(error, ['chain_refused'])) throw error
    // Somebody may have sent our two signatures ahead of us, which opened the channel as we wished.
    return (await channels.state(channels.idOf(terms), signal)).state !== 'none'
  }
}

/** False as above. A permit that somebody sends ahead of us leaves the allowance that the contract then finds. */
async function toppedUpByPermit(
  d: Depositor,
  terms: ChannelTerms,
  amount: bigint,
  signal: AbortSignal,
): Promise<boolean> {
  const permit = await permitFor(d, terms, amount, signal)
  if (permit === undefined) return false
  try {
    await d.channels.topUpWithPermit(d.wallet, terms, amount, permit, signal)
    return true
  } catch (error) {
    if (!hasCode(error, ['chain_refused'])) throw error
    const { state } = await d.channels.state(d.channels.idOf(terms), signal)
    if (state === 'none' || state === 'finished') throw error // No approval would help.
    return false
  }
}

async function permitFor(
  { chain, signer }: Depositor,
  { token }: ChannelTerms,
  amount: bigint,
  signal: AbortSignal,
): Promise<Permit | undefined> {
  const deadline = BigInt((await chain.block(signal)).timestamp) + PERMIT_SECONDS
  const { channels } = chain.deployment.contracts
  return new Token(chain, token).signPermit(signer, channels, amount, deadline, signal).catch((error: unknown) => {
    // No such function, or an answer that is none: a chain that is out of reach shows itself at the next question.
    if (!hasCode(error, ['chain_refused', 'chain_unreachable'])) throw error
    return undefined
  })
}

function hasCode(error: unknown, codes: readonly ErrorCode[]): boolean {
  return error instanceof MecaError && codes.includes(error.code)
}

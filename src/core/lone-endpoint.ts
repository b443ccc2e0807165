/**
 * What a host has to know that asks a single endpoint of its chain, which somebody else runs: whatever that says of deposits
 * is believed. It can be told from the settings alone; whether it is wise is the owner's to say, so it is no error.
 */
import { amountIn, formatMoney, isSmallestUnit, readMoney } from './money.ts'
import { NATIVE } from './units.ts'

type Endpoints = { rpc?: string | undefined; witness?: string | undefined }

const COIN = { address: NATIVE, symbol: 'ETH', decimals: 18 }

/** Undefined where two endpoints are asked, or one on this machine. `exposureTotal` as the owner wrote it. */
export function loneEndpoint(
  { rpc, witness }: Endpoints,
  exposureTotal: readonly string[],
): { detail: string; cure: string } | undefined {
  const [own, other] = [hostOf(rpc), hostOf(witness)]
  if (own === undefined || isThisMachine(own)) return undefined
  if (other !== undefined && other !== own) return undefined
  const why = other === own ? `chain.witness is ${own} too: it` : `${own}, which no second endpoint is held against,`
  return {
    detail: `${why} can invent deposits, and work on them is for nothing: up to ${amounts(exposureTotal)} (host.exposureTotal) and the jobs under way where it lets a claim fail, without an end where it invents payments too`,
    cure: 'set chain.witness to an endpoint of the same chain that somebody else runs; nothing is to be done where the node behind chain.rpc is your own',
  }
}

/** Without path, user and password, which often are a key. */
function hostOf(url: string | undefined): string | undefined {
  return url === undefined || !URL.canParse(url) ? undefined : new URL(url).host
}

function isThisMachine(host: string): boolean {
  return /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?$/.test(host)
}

function amounts(written: readonly string[]): string {
  return written.map((text) => shown(text)).join(' and ')
}

/** A plain number is in the smallest unit of the chain's own currency, which nobody reads. */
function shown(text: string): string {
  const money = readMoney(text, 'host.exposureTotal')
  return isSmallestUnit(money) ? formatMoney(amountIn(money, COIN, 'host.exposureTotal'), COIN) : text
}

/**
 * Every setting there is, with its kind and its bounds. Defaults and reasons stand in config/default.yml, which names
 * each of them once; config.ts reads and merges the places where they can be given.
 *
 * A number in a file or a variable may carry its unit (`64M`, `90s`); names say the unit of a bare number. Amounts are
 * whole numbers in the token's smallest unit; caps may also be written like `0.1ETH, 20MUSD`, one for each currency.
 */
import { z } from 'zod'
import { isSmallestUnit, readMoney } from './core/money.ts'
import { zTariff } from './core/tariff.ts'
import { parseAddress, parseAmount, parseBytes, parseDuration } from './core/units.ts'

/** `null` in a file, or an empty variable, takes a setting back to "not set". */
function optional<T>(leaf: z.ZodType<T>): z.ZodType<T | undefined> {
  return z.union([z.null().transform(() => undefined), leaf])
}

/** YAML whole numbers come as bigint, so that no digit of an amount is lost; variables and flags come as text. */
function asNumber(raw: unknown): unknown {
  if (typeof raw === 'bigint') return Number(raw)
  return typeof raw === 'string' && /^-?[0-9]+(\.[0-9]+)?$/.test(raw) ? Number(raw) : raw
}

function number(min: number, max: number) {
  return z.preprocess(asNumber, z.number().min(min).max(max))
}

function whole(min: number, max: number) {
  return z.preprocess(asNumber, z.number().int().min(min).max(max))
}

function measured(parse: (text: string) => number, min: number, max: number) {
  const read = (raw: unknown) => (typeof raw === 'string' && !/^[0-9]+$/.test(raw) ? parse(raw) : asNumber(raw))
  return z.preprocess(read, z.number().int().min(min).max(max))
}

function bytes(min: number, max: number) {
  return measured((text) => parseBytes(text), min, max)
}

function millis(min: number, max: number) {
  return measured((text) => parseDuration(text), min, max)
}

function seconds(min: number, max: number) {
  return measured((text) => parseDuration(text) / 1000, min, max)
}

/** More than any owner counts in. */
const MAX_CURRENCIES = 100

const text = z.string().min(1).max(4096)
const url = z.url({ protocol: /^(https?|wss?)$/ })
const flag = z.preprocess((raw) => (raw === 'true' ? true : raw === 'false' ? false : raw), z.boolean())
const amount = z.unknown().transform((raw) => parseAmount(amountText(raw)))
/** Amounts in several currencies; which of them a name means is known only when the chain was asked. */
const amounts = z.unknown().transform((raw) => {
  const words = typeof raw === 'string' ? raw.split(/[\s,]+/).filter((word) => word !== '') : [raw].flat()
  return words.slice(0, MAX_CURRENCIES).map((word) => writtenAmount(amountText(word)))
})
const address = text.transform((raw) => parseAddress(raw))
const addresses = z.preprocess(
  (raw) => (typeof raw === 'string' ? raw.split(/[\s,]+/).filter((w) => w !== '') : raw),
  z.array(address).max(MAX_CURRENCIES),
)
const words = z.preprocess(
  (raw) => (typeof raw === 'string' ? raw.split(/[\s,]+/).filter((w) => w !== '') : raw),
  z.array(text).max(100),
)

/** A list of objects; in a variable or a flag as JSON. Bare whole numbers become the text that amounts are. */
const tariffs = z.preprocess(
  (raw) => withTexts(typeof raw === 'string' ? parseJson(raw) : raw),
  z.array(zTariff).max(20),
)

const DAY_MS = 86_400_000
const TIB = 2 ** 40

export const zConfig = z.strictObject({
  home: text,
  chain: z.strictObject({
    rpc: optional(url),
    witness: optional(url),
    deployment: optional(text),
    tokens: addresses,
    confirmations: whole(0, 1000),
    maxFeePerGas: amount,
    pollMs: millis(50, 600_000),
    requestTimeoutMs: millis(100, 600_000),
  }),
  ipfs: z.strictObject({ kind: z.enum(['helia', 'kubo']), api: url }),
  p2p: z.strictObject({
    listen: words,
    announce: words,
    bootstrap: words,
    mdns: flag,
    dht: z.enum(['off', 'client', 'server']),
    relay: z.enum(['off', 'client', 'server']),
  }),
  engine: z.strictObject({
    kind: z.enum(['docker', 'swarm']),
    socket: optional(text),
    sidecarImage: optional(text),
    sidecars: whole(0, 64),
    runtime: optional(text),
  }),
  host: z.strictObject({
    tariffs,
    cpus: optional(number(0.1, 4096)),
    memoryBytes: optional(bytes(2 ** 24, 64 * TIB)),
    gpus: whole(0, 1024),
    formats: words,
    maxQueue: whole(0, 100_000),
    maxSeconds: seconds(1, 30 * 86_400),
    warmIdleMs: millis(0, DAY_MS),
    allowNetwork: flag,
    minCloseDelaySeconds: seconds(900, 30 * 86_400),
    claimThreshold: amounts,
    claimEveryMs: millis(1000, 30 * DAY_MS),
    unconfirmedExposure: amounts,
    exposurePerClient: amounts,
    exposureTotal: amounts,
    offerTtlMs: millis(5000, 300_000),
    payout: optional(address),
  }),
  client: z.strictObject({
    maxPrice: optional(amounts),
    depositJobs: whole(1, 1_000_000),
    depositCap: amounts,
    closeDelaySeconds: seconds(900, 30 * 86_400),
    perDayCap: optional(amounts),
    perHostCap: optional(amounts),
  }),
  limits: z.strictObject({
    inputBytes: bytes(1, TIB),
    outputBytes: bytes(1, TIB),
    filesInputBytes: bytes(1, TIB),
    filesOutputBytes: bytes(1, TIB),
    blobBytes: bytes(1, 1024 * TIB),
    freeBytes: bytes(0, 1024 * TIB),
    startTimeoutMs: millis(100, DAY_MS),
    fetchTimeoutMs: millis(100, DAY_MS),
    runTimeoutMs: millis(100, 30 * DAY_MS),
  }),
  api: z.strictObject({ host: text, port: whole(0, 65_535) }),
  store: z.strictObject({ exportFile: optional(text) }),
  log: z.strictObject({
    level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    file: optional(text),
  }),
})

export type Config = z.infer<typeof zConfig>

/** Names of files and folders: meant from where they are written down. */
export const PATHS: ReadonlySet<string> = new Set(['home', 'chain.deployment', 'log.file', 'store.exportFile'])

/** May hold a key (an RPC address often does), so `explain` does not show them and the log hides them. */
export const SECRETS: ReadonlySet<string> = new Set(['chain.rpc', 'chain.witness', 'ipfs.api'])

/** Every setting's key, like `chain.pollMs`, with its schema. */
export const SETTINGS: ReadonlyMap<string, z.ZodType> = new Map(leaves(zConfig, ''))

function leaves(schema: z.ZodObject, prefix: string): [string, z.ZodType][] {
  return Object.entries(schema.shape).flatMap(([name, inner]) => {
    if (inner instanceof z.ZodObject) return leaves(inner, `${prefix}${name}.`)
    return inner instanceof z.ZodType ? [[prefix + name, inner] as [string, z.ZodType]] : []
  })
}

/** A number here was written with a point or an exponent, so digits of it may be lost already; it fits no amount. */
function amountText(raw: unknown): string {
  if (typeof raw === 'bigint') return raw.toString()
  if (typeof raw === 'number') return raw.toExponential()
  return typeof raw === 'string' ? raw : typeof raw
}

/** As it was written, once it is an amount of money in some currency. */
function writtenAmount(text: string): string {
  const written = readMoney(text, 'an amount')
  if (isSmallestUnit(written)) parseAmount(text)
  return text
}

function withTexts(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return value.map(withTexts)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withTexts(inner)]))
}

function parseJson(raw: string): unknown {
  try {
    return JSON.parse(raw)
  } catch {
    return raw // the schema then says what it expected
  }
}

/**
 * The log: pino, JSON lines, one child per room (`log.child({ room: 'chain' })`), ids as fields. Secrets are hidden in two
 * ways: by the name of a field, and by value. The second is what holds, since a library's error text may quote a key;
 * so whoever opens a key or a password adds it to the `Redaction` first, and edges clean what they print with it too.
 */
import { pino } from 'pino'
import type { Logger } from 'pino'

export type Log = Logger

export type LogOptions = {
  level: string
  /** Standard error where there is none. */
  file?: string | undefined
  redaction: Redaction
}

const HIDDEN = '[hidden]'

/** A `token` is an address here, so secrets of that kind have longer names. */
const SECRET_FIELDS = [
  'password',
  'passphrase',
  'privateKey',
  'mnemonic',
  'apiKey',
  'apiToken',
  'authorization',
  'cookie',
]

/** Written at once and not buffered: the last lines before a crash are the ones that matter. */
export function createLog({ level, file, redaction }: LogOptions): Log {
  const destination = pino.destination({ dest: file ?? 2, mkdir: true, mode: 0o600, sync: true })
  const cleaning = { write: (line: string) => destination.write(redaction.clean(line)) }
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: withoutBigints },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: HIDDEN },
      serializers: { err: plainError, error: plainError },
    },
    cleaning,
  )
}

/** Replaces known secrets, in the forms that they take in text, wherever they stand. */
export class Redaction {
  /** Longest first, so that a secret within another does not leave its rest. */
  #needles: string[] = []

  /** Shorter ones would blot out innocent text; passwords that short protect nothing anyway. */
  static readonly SHORTEST = 6

  add(secret: string | Uint8Array): void {
    const forms = typeof secret === 'string' ? textForms(secret) : byteForms(secret)
    const needles = new Set([...this.#needles, ...forms.filter((form) => form.length >= Redaction.SHORTEST)])
    this.#needles = [...needles].sort((a, b) => b.length - a.length)
  }

  clean(text: string): string {
    return this.#needles.reduce(
      (all, needle) => (all.includes(needle) ? all.replaceAll(needle, instead(needle)) : all),
      text,
    )
  }
}

/** A list of bytes stays a list, so that the line stays JSON. */
function instead(needle: string): string {
  return needle.startsWith('[') ? `["${HIDDEN}"]` : HIDDEN
}

/** As itself, within JSON, within an address, and where it is hex as bytes of any case. */
function textForms(secret: string): string[] {
  const bare = secret.replace(/^0x/i, '')
  const isHex = bare.length >= 32 && /^([0-9a-f]{2})+$/i.test(bare)
  return [
    secret,
    bare,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
    ...(isHex ? byteForms(Buffer.from(bare, 'hex')) : [Buffer.from(secret).toString('base64')]),
  ]
}

function byteForms(secret: Uint8Array): string[] {
  const bytes = Buffer.from(secret)
  const hex = bytes.toString('hex')
  return [hex, hex.toUpperCase(), bytes.toString('base64'), bytes.toString('base64url'), `[${bytes.join(',')}]`]
}

/** Amounts of money as text: as numbers, readers of the log would round them. */
function withoutBigints(fields: Record<string, unknown>): Record<string, unknown> {
  const has = Object.values(fields).some((value) => typeof value === 'bigint')
  if (!has) return fields
  return Object.fromEntries(Object.entries(fields).map(([key, v]) => [key, typeof v === 'bigint' ? v.toString() : v]))
}

/** Only what we know to be harmless: other libraries hang requests with their headers on their errors. */
function plainError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack } = error
  const own = 'code' in error ? { code: error.code } : {}
  const cure = 'cure' in error && error.cure !== undefined ? { cure: error.cure } : {}
  const details = 'details' in error && error.details !== undefined ? { details: error.details } : {}
  const cause = error.cause === undefined ? {} : { cause: plainError(error.cause) }
  return { name, message, ...own, ...cure, ...details, stack, ...cause }
}

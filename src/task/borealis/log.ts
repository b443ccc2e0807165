/**
 * The log of a DockerTask, which people and scripts of that system read: start, record and image above a rule, the console as it
 * came, and below a second rule how it ended. Times are UTC, because a record of a market has no place it was made at.
 */

/** Errors in the words of the reference; empty where the run succeeded. */
type LogFacts = {
  name: string
  record: Readonly<Record<string, unknown>>
  image: string
  startedAt: number
  endedAt: number
  timeoutSeconds: number
  errors: readonly string[]
}

const RULE = '-'.repeat(80)
/** The reference names the machine; a client knows its host by the receipt. */
const HOST = 'meca'

export function logOf(facts: LogFacts, console: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(prologue(facts)), console, Buffer.from(epilogue(facts, console))])
}

function prologue({ name, record, image, startedAt }: LogFacts): string {
  const head = `${timestamp(startedAt)} DockerTask: ${name}, host: ${HOST}`
  return `${head}\n\n${pretty(record)}\n\nDocker Image ID: ${image}\n\n${RULE}\n`
}

/** A console that does not end its last line would hide the rule in it. */
function epilogue(facts: LogFacts, console: Uint8Array): string {
  const { name, startedAt, endedAt, timeoutSeconds, errors } = facts
  const verdict = errors.length > 0 ? 'FAILED' : 'SUCCESSFUL'
  const elapsed = duration((endedAt - startedAt) / 1000)
  const end = console.length > 0 && console.at(-1) !== 10 ? '\n' : ''
  const times = `elapsed ${elapsed} of timeout parameter ${duration(timeoutSeconds)}`
  const told = errors.length > 0 ? literal(errors) : ''
  return `${end}${RULE}\n\n${timestamp(endedAt)} ${verdict} TASK: ${name}, ${times} ${told}\n`
}

/** `20261120.095237`, which also sorts. */
export function timestamp(at: number): string {
  const [day, time] = new Date(at).toISOString().split('T')
  return `${day?.replaceAll('-', '')}.${time?.slice(0, 8).replaceAll(':', '')}`
}

/** `1:02:03`, from a day on `2 days, 1:02:03`. */
function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const days = Math.floor(whole / 86_400)
  const two = (n: number) => String(n).padStart(2, '0')
  const clock = `${Math.floor((whole % 86_400) / 3600)}:${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`
  if (days === 0) return clock
  return `${days} day${days === 1 ? '' : 's'}, ${clock}`
}

/** A key a line, sorted, values as Python writes them: what reads the reference's logs reads these. */
function pretty(record: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(record)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${literal(key)}: ${literal(value)}`)
  return `{${lines.join(',\n ')}}`
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value === 'string') return `'${escape(value)}'`
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (typeof value !== 'object') return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([key, inner]) => `${literal(key)}: ${literal(inner)}`)
    .join(', ')}}`
}

function escape(text: string): string {
  return JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")
}

/** Instants as the contract writes them: ISO 8601 with an offset or `Z`, up to nanoseconds. */
const INSTANT =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))$/

/** Nanoseconds since 1970, or undefined where the text is no instant (30 February is none). */
export function instantOf(text: string): bigint | undefined {
  const match = INSTANT.exec(text)
  if (match === null) return undefined
  const part = (i: number) => Number(match[i] ?? 0)
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)]
  const ms = Date.UTC(year, month - 1, day, hour, minute, second)
  const date = new Date(ms)
  // Years under 100 are shifted by the platform, and days beyond a month's end roll over: both show here.
  const kept = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
  if (!kept || hour > 23 || minute > 59 || second > 59 || part(9) > 18 || part(10) > 59) return undefined
  const offsetMs = (part(9) * 60 + part(10)) * 60_000 * (match[8] === '-' ? -1 : 1)
  return BigInt(ms - offsetMs) * 1_000_000n + BigInt((match[7] ?? '').padEnd(9, '0'))
}

/** To milliseconds, for people. */
export function shownInstant(instant: bigint): string {
  return new Date(Number(instant / 1_000_000n)).toISOString()
}

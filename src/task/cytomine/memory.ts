/**
 * Amounts of memory as Cytomine's descriptors write them: `2Gi`, `100 MiB`, `25Kib`. A prefix is mandatory, as in the
 * published schema; the suffix says bytes or bits and may be left out, as in the documentation. Counted exactly and
 * rounded up.
 */
const MEMORY = /^(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,15}))? {0,8}([KMGTPEZY]i|[kMGTPEZYRQ])(B|Bytes?|bytes?|b|bits?)?$/
const DECIMAL = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y', 'R', 'Q']
const BINARY = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei', 'Zi', 'Yi']

/** Bytes, at most 2^53 - 1; undefined where the text is no amount. */
export function memoryBytes(text: string): number | undefined {
  const match = MEMORY.exec(text.trim())
  if (match === null) return undefined
  const [whole, fraction, prefix, suffix] = [match[1] ?? '', match[2] ?? '', match[3] ?? '', match[4] ?? '']
  const divisor = 10n ** BigInt(fraction.length) * (/^b(it|$)/.test(suffix) ? 8n : 1n)
  const bytes = (BigInt(whole + fraction) * factorOf(prefix) + divisor - 1n) / divisor
  return Number(bytes > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : bytes)
}

function factorOf(prefix: string): bigint {
  const binary = BINARY.indexOf(prefix) + 1
  return binary > 0 ? 1024n ** BigInt(binary) : 1000n ** BigInt(DECIMAL.indexOf(prefix) + 1)
}

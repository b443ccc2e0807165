/** Reading a listing of a contract page by page, newest entries first, up to a ceiling. */
import { MAX_LISTED, PAGE_SIZE } from './limits.ts'

export async function readPages<T>(
  count: bigint,
  page: (start: bigint, limit: bigint) => Promise<readonly T[]>,
): Promise<T[]> {
  const all: T[] = []
  for (let end = count; end > 0n && all.length < MAX_LISTED; end -= BigInt(PAGE_SIZE)) {
    const start = end > PAGE_SIZE ? end - BigInt(PAGE_SIZE) : 0n
    all.push(...[...(await page(start, end - start))].reverse())
  }
  return all
}

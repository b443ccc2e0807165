/**
 * Files of vouchers, one line each (core/voucher-line), on another disk than the database.
 *
 * `writeExport` makes a whole file; `VoucherExport` appends each voucher as it comes. Both are read by `readExport`.
 */
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { MecaError } from '../core/errors.ts'
import { formatVoucherLine, MAX_VOUCHER_LINE, parseVoucherLine } from '../core/voucher-line.ts'
import type { VoucherLine } from '../core/voucher-line.ts'
import { hasCode, writeDurably } from './files.ts'

/** Replaces the file, whole or not at all. */
export async function writeExport(path: string, vouchers: Iterable<VoucherLine>): Promise<void> {
  await writeDurably(path, [...vouchers].map(toLine).join(''))
}

/**
 * The highest voucher of each channel, task and kind. A last line without its end is what a crash leaves and is passed over;
 * any other line that cannot be read throws `bad_input` with its number.
 */
export async function readExport(path: string): Promise<VoucherLine[]> {
  const highest = new Map<string, VoucherLine>()
  const file = await openToRead(path)
  let number = 0
  try {
    for await (const { text, whole } of lines(file)) {
      number++
      if (!whole) continue
      const voucher = parseLine(text, path, number)
      const key = `${voucher.channels}/${voucher.chainId}/${voucher.channelId}/${voucher.taskId}/${voucher.exact ?? false}`
      const other = highest.get(key)
      if (other === undefined || isHigher(voucher, other)) highest.set(key, voucher)
    }
  } finally {
    await file.close()
  }
  return [...highest.values()]
}

/** Appends, synced; what is appended in one turn shares the sync. */
export class VoucherExport {
  readonly #file: FileHandle
  #waiting: VoucherLine[] = []
  /** The write that has not begun yet and takes along what comes meanwhile. */
  #next: Promise<void> | undefined
  #last: Promise<void> = Promise.resolve()

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /** Drops what later vouchers made worthless, so that the file does not grow for ever. */
  static async open(path: string): Promise<VoucherExport> {
    try {
      await writeExport(path, await readExport(path))
    } catch (error) {
      if (!(error instanceof MecaError && error.code === 'not_found')) throw error
      await writeDurably(path, '')
    }
    return new VoucherExport(await open(path, 'a', 0o600))
  }

  /** Resolves when the vouchers are on that disk. A failure there is told, and says nothing of the store. */
  append(vouchers: readonly VoucherLine[]): Promise<void> {
    this.#waiting.push(...vouchers)
    this.#next ??= this.#begin()
    return this.#next
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#next])
    await this.#last
    await this.#file.close()
  }

  async #begin(): Promise<void> {
    await this.#last
    await new Promise((resolve) => setImmediate(resolve))
    this.#next = undefined
    const write = this.#write(this.#waiting.splice(0).map(toLine).join(''))
    this.#last = write.catch(() => undefined) // whoever appended hears of it
    await write
  }

  async #write(text: string): Promise<void> {
    await this.#file.appendFile(text)
    await this.#file.datasync()
  }
}

function toLine(voucher: VoucherLine): string {
  return `${formatVoucherLine(voucher)}\n`
}

/** Both numbers only grow in one row, so either tells; the sum tells in any case. */
function isHigher(a: VoucherLine, b: VoucherLine): boolean {
  return a.hostAmount + a.developerAmount > b.hostAmount + b.developerAmount
}

function parseLine(text: string, path: string, number: number): VoucherLine {
  try {
    return parseVoucherLine(text)
  } catch (error) {
    throw new MecaError('bad_input', `Line ${number} of ${path} is not an exported voucher`, {
      cause: error,
      cure: 'remove the line, or use another copy of the file',
      details: { path, line: number },
    })
  }
}

async function openToRead(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    throw new MecaError('not_found', `There is no file ${path}`, { cause: error })
  }
}

/** Lines with a ceiling: a file that is something else must not fill the memory. */
async function* lines(file: FileHandle): AsyncGenerator<{ text: string; whole: boolean }> {
  let rest = ''
  for await (const chunk of file.createReadStream({ encoding: 'utf8', autoClose: false }) as AsyncIterable<string>) {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    for (const text of parts) yield { text, whole: true }
    if (rest.length > MAX_VOUCHER_LINE)
      throw new MecaError('bad_input', `A line is longer than ${MAX_VOUCHER_LINE} characters; this is no export`)
  }
  if (rest !== '') yield { text: rest, whole: false }
}

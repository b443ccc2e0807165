/**
 * The tail: a file of fixed size that holds the newest groups of writes, so that a promise costs one synced write in
 * place. The database takes them over a moment later, unsynced; what a power cut takes from it there is read back from
 * here. Only groups that the head does not count yet matter.
 *
 * A group stands here twice in one write, so that a flipped bit costs nothing, and a cut in the middle of a write spoils
 * only what nobody was told of. Groups are JSON, in which no line ever ends: no byte of a stranger looks like a beginning.
 */
import { hash } from 'node:crypto'
import { constants, write } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { createDurably, sizeOf } from './files.ts'
import { damaged, readRecord, tipOf } from './journal.ts'
import type { Tip } from './journal.ts'
import { ledgerPut } from './tables.ts'
import type { Put } from './tables.ts'

/** Some fifty groups of a quiet node, or five of a busy one, before the database has to be synced. */
const TAIL_BYTES = 2 ** 20
/** What a disk writes as a whole. */
const BLOCK_BYTES = 4096
const COPIES = 2

export type Group = { number: number; puts: readonly Put[] }

const zPuts = z.array(z.tuple([z.enum(['journal', 'plain']), z.string(), z.string().nullable()]))

export class Tail {
  readonly #file: FileHandle
  #at = 0

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /**
   * Opens the tail with its groups after number `after`. Throws `store_damaged` where one of them cannot be read, or
   * where the file is gone or short; it is made only where `mayMake`, so that the alarm is raised again at every start.
   */
  static async open(path: string, after: number, mayMake: boolean): Promise<{ tail: Tail; groups: Group[] }> {
    if (mayMake) await createDurably(path, Buffer.alloc(TAIL_BYTES))
    const bytes = await sizeOf(path)
    if (bytes === undefined) throw damaged(`the file ${path} is gone`)
    if (bytes !== TAIL_BYTES) throw damaged(`the file ${path} has ${bytes} of its ${TAIL_BYTES} bytes`)
    const file = await open(path, constants.O_RDWR | constants.O_DSYNC)
    try {
      return { tail: new Tail(file), groups: groupsIn(await readWhole(file), after) }
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Whether there is room for a group; where there is none, `restart` makes some. */
  fits(group: Uint8Array): boolean {
    return this.#at + group.length <= TAIL_BYTES
  }

  /** Resolves when the group is on disk. One call at a time. */
  async append(group: Uint8Array): Promise<void> {
    const written = await writeAt(this.#file.fd, group, this.#at)
    if (written !== group.length) throw new MecaError('internal', `${written} of ${group.length} bytes were written`)
    this.#at += group.length
  }

  /** From now on the head counts all groups that stand here. */
  restart(): void {
    this.#at = 0
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** Where the two numbers of a group begin: after the line's end and the checksum. */
const COUNTS_AT = 45

/** The blocks of a group, ready to be written. Rows that a record explains stand in the record. */
export function encodeGroup(number: number, puts: readonly Put[]): Uint8Array {
  const text = JSON.stringify(puts.filter(([place]) => place !== 'ledger'))
  const counts = `${number} ${Buffer.byteLength(text)}\n`
  const bytes = COUNTS_AT + counts.length + Buffer.byteLength(text)
  const copyBytes = Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES
  const blocks = Buffer.alloc(COPIES * copyBytes)
  blocks.write(counts, COUNTS_AT)
  blocks.write(text, COUNTS_AT + counts.length)
  blocks.write(`\n${hash('sha256', blocks.subarray(COUNTS_AT, bytes), 'base64url')} `)
  for (let i = 1; i < COPIES; i++) blocks.copy(blocks, i * copyBytes, 0, bytes)
  return blocks
}

/** The newest journal record in them. */
export function newestTip(groups: readonly Group[]): Tip | undefined {
  const newest = groups.flatMap(({ puts }) => puts).findLast(([place]) => place === 'journal')
  if (newest === undefined) return undefined
  const [, key, value] = newest
  return tipOf(key, value ?? '')
}

/** Throws `store_damaged` where one is missing before the last. */
function groupsIn(bytes: Buffer, after: number): Group[] {
  const found = new Map<number, Group>()
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES) {
    const group = groupAt(bytes, at)
    if (group !== undefined && group.number > after) found.set(group.number, group)
  }
  const groups = [...found.values()].sort((a, b) => a.number - b.number)
  groups.forEach(({ number }, i) => {
    if (number !== after + 1 + i) throw damaged(`of the newest writes, group ${after + 1 + i} cannot be read`)
  })
  return groups
}

/** Longer than any beginning of a group. */
const HEAD_BYTES = 100

function groupAt(bytes: Buffer, at: number): Group | undefined {
  if (bytes[at] !== 0x0a) return undefined
  const head = bytes.toString('latin1', at, at + HEAD_BYTES)
  const [whole, sum, number, length] = /^\n([\w-]{43}) ([0-9]{1,15}) ([0-9]{1,9})\n/.exec(head) ?? []
  if (whole === undefined) return undefined
  const [textAt, end] = [at + whole.length, at + whole.length + Number(length)]
  if (hash('sha256', bytes.subarray(at + COUNTS_AT, end), 'base64url') !== sum) return undefined
  const puts = zPuts.parse(JSON.parse(bytes.toString('utf8', textAt, end)))
  return { number: Number(number), puts: puts.flatMap(withRows) }
}

/** A record with the rows that it explains. */
function withRows(put: Put): Put[] {
  const [place, key, value] = put
  if (place !== 'journal' || value === null) return [put]
  const { rows } = readRecord(value)
  return [put, ...rows.map(([table, rowKey, text]) => ledgerPut(table, rowKey, text, Number(key)))]
}

async function readWhole(file: FileHandle): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, 0)
  return buffer.subarray(0, bytesRead)
}

/** The callback's form: the promises' one costs as much again as the handing over itself. */
function writeAt(fd: number, bytes: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, position, (error, written) => (error === null ? resolve(written) : reject(error)))
  })
}

/**
 * The head: a small file that says how far the database is known to be on disk. Lost records at the end leave no gap, so
 * the chain alone cannot show them; the head can, and beyond it the tail. It is written after the database was synced,
 * hence it never runs ahead, and everything that was acknowledged lies at or below it or in the tail.
 *
 * Two slots are written one after the other, each in a block of its own with a checksum: a power cut in the middle of a
 * write spoils at most the slot that was being written, and what the other one says is still true.
 */
import { hash } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { failpoint } from '../failpoint.ts'
import { createDurably, readIfThere } from './files.ts'
import { damaged, GENESIS } from './journal.ts'
import type { Tip } from './journal.ts'

const SLOT_BYTES = 4096

/** The journal's newest record, and the newest group of writes, that the database has. */
export type Mark = { tip: Tip; group: number }

export class Head {
  readonly #file: FileHandle
  /** The slot that is written first: never the only one that holds the newest mark. */
  readonly #first: 0 | 1

  private constructor(file: FileHandle, first: 0 | 1) {
    this.#file = file
    this.#first = first
  }

  /**
   * Throws `store_damaged` where the file holds no whole slot, or is not there although there are records; it is made
   * only for an empty journal, so that the alarm is raised again at every start. One that names no group was written
   * before there was a tail.
   */
  static async open(path: string, journalIsEmpty: boolean): Promise<{ head: Head; mark: Read }> {
    const none = slot({ tip: GENESIS, group: 0 })
    if (journalIsEmpty) await createDurably(path, none + none)
    const text = await readIfThere(path)
    if (text === undefined) throw damaged(`the file ${path} is gone, though there are records`)
    const [first, second] = [readSlot(text.slice(0, SLOT_BYTES)), readSlot(text.slice(SLOT_BYTES))]
    const newest = isNewer(second, first) ? second : first
    if (newest === undefined) throw damaged(`neither half of ${path} can be read`)
    const file = await open(path, constants.O_RDWR | constants.O_DSYNC)
    return { head: new Head(file, newest === first ? 1 : 0), mark: newest }
  }

  /** Resolves when both slots stand on disk at `mark`. One call at a time. */
  async advance(mark: Mark): Promise<void> {
    failpoint('store.before-head')
    const bytes = Buffer.from(slot(mark))
    for (const turn of [this.#first, 1 - this.#first]) await this.#file.write(bytes, 0, SLOT_BYTES, turn * SLOT_BYTES)
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

type Read = { tip: Tip; group: number | undefined }

function isNewer(a: Read | undefined, b: Read | undefined): boolean {
  const [seqA, seqB] = [a?.tip.seq ?? -1, b?.tip.seq ?? -1]
  return seqA === seqB ? (a?.group ?? -1) > (b?.group ?? -1) : seqA > seqB
}

function slot({ tip, group }: Mark): string {
  const text = `${tip.seq} ${tip.hash} ${group}`
  return `${hash('sha256', text, 'hex')} ${text}`.padEnd(SLOT_BYTES)
}

function readSlot(text: string): Read | undefined {
  const [, sum, body, seq, last, group] =
    /^([0-9a-f]{64}) (([0-9]{1,15}) ([\w-]*)(?: ([0-9]{1,15}))?) *$/.exec(text) ?? []
  if (body === undefined || last === undefined || sum !== hash('sha256', body, 'hex')) return undefined
  return { tip: { seq: Number(seq), hash: last }, group: group === undefined ? undefined : Number(group) }
}

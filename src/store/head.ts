/**
 * The head: a small file that says how far the journal has come. Lost records at the end leave no gap, so the chain
 * alone cannot show them; the head can. It is written after the records are synced and before anybody is told that
 * they are, hence it never runs ahead of them, and everything that was acknowledged lies at or below it.
 *
 * Two slots are written in turn, each in a block of its own with a checksum: a power cut in the middle of a write
 * spoils at most the slot that was being written.
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

export class Head {
  readonly #file: FileHandle
  /** The slot that the next write goes to: never the one that holds the newest tip. */
  #turn: 0 | 1

  private constructor(file: FileHandle, turn: 0 | 1) {
    this.#file = file
    this.#turn = turn
  }

  /**
   * Throws `store_damaged` where the file holds no whole slot, or is not there although there are records; it is made
   * only for an empty journal, so that the alarm is raised again at every start.
   */
  static async open(path: string, journalIsEmpty: boolean): Promise<{ head: Head; tip: Tip }> {
    if (journalIsEmpty) await createDurably(path, slot(GENESIS) + slot(GENESIS))
    const text = await readIfThere(path)
    if (text === undefined) throw damaged(`the file ${path} is gone, though there are records`)
    const [first, second] = [readSlot(text.slice(0, SLOT_BYTES)), readSlot(text.slice(SLOT_BYTES))]
    const newest = (second?.seq ?? -1) > (first?.seq ?? -1) ? second : first
    if (newest === undefined) throw damaged(`neither half of ${path} can be read`)
    const file = await open(path, constants.O_RDWR | constants.O_DSYNC)
    return { head: new Head(file, newest === first ? 1 : 0), tip: newest }
  }

  /** Resolves when the head stands on disk at `tip`. One call at a time. */
  async advance(tip: Tip): Promise<void> {
    failpoint('store.before-head')
    await this.#file.write(Buffer.from(slot(tip)), 0, SLOT_BYTES, this.#turn * SLOT_BYTES)
    this.#turn = this.#turn === 0 ? 1 : 0
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

function slot(tip: Tip): string {
  const text = `${tip.seq} ${tip.hash}`
  return `${hash('sha256', text, 'hex')} ${text}`.padEnd(SLOT_BYTES)
}

function readSlot(text: string): Tip | undefined {
  const [, sum, body, seq, last] = /^([0-9a-f]{64}) (([0-9]{1,15}) ([\w-]*)) *$/.exec(text) ?? []
  if (body === undefined || last === undefined || sum !== hash('sha256', body, 'hex')) return undefined
  return { seq: Number(seq), hash: last }
}

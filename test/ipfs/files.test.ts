/** Blocks as files: what is read, what is not there, and that nobody who gives up leaves a file open. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create } from 'multiformats/hashes/digest'
import { BlockFiles } from '../../src/ipfs/files.ts'
import { eventually } from '../role/stage.ts'
import { tempFolder } from '../support/ipfs.ts'

const SHA2_256 = 0x12
const FDS = '/proc/self/fd'
const noFds = existsSync(FDS) ? false : `this system has no ${FDS} to count open files in`

function cidFor(bytes: Uint8Array): CID {
  return CID.createV1(raw.code, create(SHA2_256, createHash('sha256').update(bytes).digest()))
}

async function read(files: BlockFiles, cid: CID, signal?: AbortSignal): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of files.blockstore.get(cid, signal === undefined ? {} : { signal })) chunks.push(chunk)
  return Buffer.concat(chunks)
}

test('a block comes back whole, and one that is not there is told by the name that Helia knows', async (t) => {
  const files = await BlockFiles.open(await tempFolder(t))
  const bytes = Buffer.from('one block')
  await files.write(cidFor(bytes), [bytes])
  assert.deepEqual(await read(files, cidFor(bytes)), bytes)
  await assert.rejects(read(files, cidFor(Buffer.from('another'))), { name: 'NotFoundError' })
})

test('who gives up while a block is being opened leaves no file open', { skip: noFds }, async (t) => {
  const files = await BlockFiles.open(await tempFolder(t))
  const bytes = Buffer.alloc(1000, 1)
  const cid = cidFor(bytes)
  await files.write(cid, [bytes])
  // What nobody closes the garbage collector may close first, with a warning.
  const warnings: string[] = []
  const hear = ({ message }: Error) => void warnings.push(message)
  process.on('warning', hear)
  t.after(() => process.off('warning', hear))
  for (let i = 0; i < 20; i++) {
    const giveUp = new AbortController()
    const reading = read(files, cid, giveUp.signal)
    giveUp.abort()
    await assert.rejects(reading)
  }
  const path = files.path(cid)
  await eventually('every file is closed', async () => {
    const open = await Promise.all((await readdir(FDS)).map((fd) => readlink(`${FDS}/${fd}`).catch(() => '')))
    return !open.includes(path)
  })
  await new Promise(setImmediate)
  assert.deepEqual(warnings, [])
})

/**
 * Files and folders over blocks: find a path, list a folder, stream a file. Sizes that a node declares are compared
 * with what is really under it, so that a cap checked at the top holds all the way down.
 */
import type { CID } from 'multiformats/cid'
import { MecaError } from '../core/errors.ts'
import { DAG_PB, decodeNode, parseCid, type Link, type Node } from './dag.ts'
import { MAX_DEPTH, READ_AHEAD } from './limits.ts'
import type { Session } from './session.ts'
import type { Entry, Stat } from './store.ts'

type Found = { cid: CID; node: Node }

/** The node at `CID/name/name`. */
export async function find(session: Session, path: string): Promise<Found> {
  const [root = '', ...names] = path.split('/')
  if (names.length > MAX_DEPTH)
    throw new MecaError('bad_input', `A path may have ${MAX_DEPTH} names, this has ${names.length}`)
  let cid = parseCid(root)
  let node = await session.node(cid)
  for (const name of names) {
    cid = requireChild(node, name, path).cid
    node = await session.node(cid)
  }
  return { cid, node }
}

function requireChild(node: Node, name: string, path: string): Link {
  if (node.kind !== 'folder')
    throw new MecaError('not_found', `${path}: what should hold ${JSON.stringify(name)} is a file`)
  const link = node.links.find((l) => l.name === name)
  if (link === undefined) throw new MecaError('not_found', `${path}: there is no ${JSON.stringify(name)}`)
  return link
}

export async function list(session: Session, path: string): Promise<Entry[]> {
  const { node } = await find(session, path)
  if (node.kind !== 'folder') throw new MecaError('bad_input', `${path} is a file, not a folder`)
  const entries: Entry[] = []
  for (let at = 0; at < node.links.length; at += READ_AHEAD) {
    entries.push(...(await Promise.all(node.links.slice(at, at + READ_AHEAD).map((link) => describe(session, link)))))
  }
  return entries
}

async function describe(session: Session, link: Link): Promise<Entry> {
  const base = { name: link.name, cid: link.cid.toString() }
  if (link.cid.code !== DAG_PB) return { ...base, bytes: link.bytes, directory: false }
  const node = await session.node(link.cid)
  return { ...base, bytes: node.kind === 'file' ? node.bytes : 0, directory: node.kind === 'folder' }
}

export async function stat(session: Session, path: string): Promise<Stat> {
  const { cid, node } = await find(session, path)
  return { cid: cid.toString(), bytes: node.kind === 'file' ? node.bytes : 0, directory: node.kind === 'folder' }
}

/** The bytes of a file from `start` up to `end`. */
export async function* content(session: Session, file: Found, start: number, end: number): AsyncGenerator<Uint8Array> {
  for await (const { at, bytes } of ahead(parts(session, file, start, end))) {
    yield bytes.subarray(Math.max(0, start - at), Math.min(bytes.length, end - at))
  }
}

type Piece = { at: number; bytes: Uint8Array }
type Step = { link: Link; at: number; depth: number }

/** The parts of a file that overlap the range, in order; each is asked for only when it is called, so that several can be under way. */
async function* parts(session: Session, file: Found, start: number, end: number): AsyncGenerator<() => Promise<Piece>> {
  const todo: Step[] = [{ link: { name: '', cid: file.cid, bytes: requireFile(file).bytes }, at: 0, depth: 0 }]
  for (let step = todo.pop(); step !== undefined; step = todo.pop()) {
    const { link, at, depth } = step
    if (at >= end || at + link.bytes <= start) continue
    if (link.cid.code !== DAG_PB) {
      yield () => leaf(session, link, at)
      continue
    }
    if (depth > MAX_DEPTH) throw new MecaError('too_large', `File ${file.cid} is more than ${MAX_DEPTH} blocks deep`)
    const node = requireFile(await child(session, link))
    if (node.data.length > 0) yield () => Promise.resolve({ at, bytes: node.data })
    todo.push(...inside(node.links, at + node.data.length, depth + 1).reverse())
  }
}

function inside(links: readonly Link[], from: number, depth: number): Step[] {
  let at = from
  return links.map((link) => ({ link, at: (at += link.bytes) - link.bytes, depth }))
}

async function leaf(session: Session, link: Link, at: number): Promise<Piece> {
  const { node } = await child(session, link)
  return { at, bytes: node.kind === 'file' ? node.data : new Uint8Array() }
}

async function child(session: Session, link: Link): Promise<Found> {
  const node = decodeNode(link.cid, await session.block(link.cid))
  const bytes = node.kind === 'file' ? node.bytes : -1
  if (bytes !== link.bytes) {
    throw new MecaError('invalid_task', `Block ${link.cid} is named with ${link.bytes} bytes and has ${bytes}`)
  }
  return { cid: link.cid, node }
}

function requireFile(found: Found): Node & { kind: 'file' } {
  if (found.node.kind === 'file') return found.node
  throw new MecaError('bad_input', `${found.cid} is a folder, not a file`)
}

/** Runs ahead of the reader by at most READ_AHEAD promises. */
async function* ahead<T>(source: AsyncIterable<() => Promise<T>>): AsyncGenerator<T> {
  const window: Promise<T>[] = []
  for await (const begin of source) {
    const promise = begin()
    // A promise that fails while an earlier one is awaited is reported when its turn comes, not as unhandled.
    promise.catch(() => {})
    window.push(promise)
    const due = window.length >= READ_AHEAD ? window.shift() : undefined
    if (due !== undefined) yield await due
  }
  for (const promise of window) yield await promise
}

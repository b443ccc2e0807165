/**
 * The promise that every IPFS implementation keeps, and the smaller one (`Blocks`) that it is built on: Helia in this
 * process, or a Kubo daemon by its RPC. Everything above blocks (folders, caps, deadlines, counting) is written once.
 *
 * A path is a CID, or a CID and names: `bafy…/image/index.json`. Every call ends when its signal fires.
 * Errors: `ipfs_unreachable` when content does not come, `too_large` beyond a cap, `invalid_task` when the content is
 * not plain files and folders, `not_found` when a folder has no such entry, `cancelled` when the signal fired.
 */
import type { CID } from 'multiformats/cid'
import type { Pieces } from './dag.ts'

export type Ipfs = {
  readonly kind: 'helia' | 'kubo'
  /** Adds one folder and pins it. The same entries give the same CID in every implementation and every order. */
  addFolder(entries: AsyncIterable<FileEntry> | Iterable<FileEntry>, options: AddOptions): Promise<Added>
  list(path: string, signal: AbortSignal): Promise<Entry[]>
  stat(path: string, signal: AbortSignal): Promise<Stat>
  /** Streams a file; what is not here is fetched on the way and kept. */
  cat(path: string, options: CatOptions): AsyncIterable<Uint8Array>
  /** A small file whole. */
  read(path: string, options: { signal: AbortSignal; maxBytes: number }): Promise<Uint8Array>
  /** Brings everything under the path here. */
  fetch(path: string, options: FetchOptions): Promise<Fetched>
  /** Whether everything under the CID is here; asks nobody else. */
  has(cid: string, signal: AbortSignal): Promise<boolean>
  /** Bytes of the blocks under the CID that are here; asks nobody else. */
  localBytes(cid: string, signal: AbortSignal): Promise<number>
  /** Keeps everything under the CID through `collectGarbage`; the content must be here. */
  pin(cid: string, signal: AbortSignal): Promise<void>
  unpin(cid: string, signal: AbortSignal): Promise<void>
  pins(signal: AbortSignal): Promise<string[]>
  /** Removes what no pin keeps; resolves to the bytes freed. Throws `busy` while something is added or fetched. */
  collectGarbage(signal: AbortSignal): Promise<number>
  /** Tells the network's routing that the CID is to be had here. Resolves to false where there is no routing to tell. */
  provide(cid: string, signal: AbortSignal): Promise<boolean>
  close(): Promise<void>
}

/** `path` is relative, with `/` between names. A `file` is read from disk when its turn comes. */
export type FileEntry = { path: string; content: Uint8Array | AsyncIterable<Uint8Array> | { file: string } }

export type AddOptions = { signal: AbortSignal; onProgress?: (doneBytes: number) => void }

/** `bytes` of all content; `newBytes` of the blocks that were not here before. */
export type Added = { cid: string; bytes: number; newBytes: number }

export type Entry = { name: string; cid: string; bytes: number; directory: boolean }

/** `bytes` is the length of a file's content, 0 for a folder. */
export type Stat = { cid: string; bytes: number; directory: boolean }

export type CatOptions = {
  signal: AbortSignal
  /** Refused with `too_large` before the first byte when more would come. */
  maxBytes: number
  offset?: number
  length?: number
  onProgress?: (doneBytes: number) => void
}

export type FetchOptions = {
  signal: AbortSignal
  maxBytes?: number
  /** Peers known to have it, as multiaddrs or peer ids: asked for the whole as one stream before anybody else. */
  providers?: readonly string[]
  onProgress?: (progress: FetchProgress) => void
}

/** `totalBytes` grows while folders are still being read. */
export type FetchProgress = { fetchedBytes: number; localBytes: number; totalBytes: number }

/** `bytes` of all blocks under the path; `fetchedBytes` of those that came over the network, `streamedBytes` of these
 * by `/meca/blocks/1`. */
export type Fetched = { cid: string; bytes: number; blocks: number; fetchedBytes: number; streamedBytes: number }

/** Verified blocks by CID. */
export type Blocks = {
  readonly kind: Ipfs['kind']
  /** How long the block is, if it is here. */
  size(cid: CID, signal: AbortSignal): Promise<number | undefined>
  /** The block if it is here and undamaged; asks nobody else. */
  read(cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined>
  /** The block from the network; it is kept. */
  fetch(cid: CID, signal: AbortSignal): Promise<Uint8Array>
  write(cid: CID, block: Pieces, signal: AbortSignal): Promise<void>
  /** Blocks from one peer in the order asked, unverified, undefined for one that it lacks; nothing where streams are
   * not spoken. */
  stream?(provider: string, request: BlockRequest, signal: AbortSignal): AsyncIterable<Pieces | undefined> | undefined
  /** Makes sure of a connection to a peer known to have something; returns whether there is one. */
  connect(provider: string, signal: AbortSignal): Promise<boolean>
  pin(cid: CID, signal: AbortSignal): Promise<void>
  unpin(cid: CID, signal: AbortSignal): Promise<void>
  pins(signal: AbortSignal): Promise<CID[]>
  /** Removes all blocks but those under a pin. `keep` walks what is under one. */
  sweep(keep: (root: CID) => AsyncIterable<CID>, signal: AbortSignal): Promise<number>
  provide(cid: CID, signal: AbortSignal): Promise<boolean>
  close(): Promise<void>
}

/** `nodes`: every block under the root that is not a leaf, depth first; `blocks`: exactly these. */
export type BlockRequest = { nodes: CID } | { blocks: readonly CID[] }

/** A publisher in a process of its own: adds files of so many random bytes, says where, serves until it is killed. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openHelia } from '../../src/ipfs/helia.ts'
import { soon, startLibp2p } from '../support/ipfs.ts'

/** Two versions of a folder that differ in the last file. */
export type Published = { address: string; first: string; second: string; changedBytes: number; bytes: number }

const sizes = process.argv.slice(2).map(Number)
const home = await mkdtemp(join(tmpdir(), 'meca-ipfs-other-'))
process.once('disconnect', () => void rm(home, { recursive: true, force: true }).finally(() => process.exit()))
const libp2p = await startLibp2p()
const ipfs = await openHelia({ libp2p, home })
const files = sizes.map((bytes, i) => ({ path: `image/blobs/${i}`, content: randomBytes(bytes) }))
const first = await ipfs.addFolder(files, { signal: soon() })
const changed = files.with(-1, { path: 'image/blobs/last', content: randomBytes(sizes.at(-1) ?? 0) })
const second = await ipfs.addFolder(changed, { signal: soon() })
const address = libp2p.getMultiaddrs()[0]?.toString() ?? ''
const published: Published = {
  address,
  first: first.cid,
  second: second.cid,
  changedBytes: sizes.at(-1) ?? 0,
  bytes: first.bytes,
}
process.send?.(published)

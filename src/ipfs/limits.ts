/**
 * The ceilings for everything that comes out of IPFS, each with its reason. A CID says what the bytes are, never how
 * many they are: whoever names one may have built a DAG that is meant to never end.
 */

/** Bitswap carries no larger block, so a larger one can only be somebody's trick. */
export const MAX_BLOCK_BYTES = 2 * 2 ** 20

/** Links in one block: a node of a file has 1,024; a folder block of 256 KiB has at most about 5,000. */
export const MAX_LINKS = 8192

/** Blocks deep: a file of 1,024^2 MiB has 3, the rest is for nested folders. */
export const MAX_DEPTH = 32

/** Blocks in one DAG: 64 GiB of 1 MiB chunks with their nodes. */
export const MAX_BLOCKS = 70_000

/** Bytes of one DAG where the caller says nothing: above the images people run, below what fills a disk at once. */
export const MAX_DAG_BYTES = 32 * 2 ** 30

/** Blocks asked for ahead of the reader; times 1 MiB is the memory of one fetch. */
export const READ_AHEAD = 8

/** How long nothing may arrive before a fetch is given up. */
export const STALL_MS = 30_000

/** Slowest fetch that is waited for: 64 KiB/s, which is an ordinary home's upload at its worst. */
export const MIN_BYTES_PER_SECOND = 64 * 1024

/** How long a fetch may take before the slowest rate is held against it. */
export const GRACE_MS = 60_000

/** CIDs in one request of `/meca/blocks/1`: 1 GiB of chunks, 64 KiB of request. */
export const MAX_REQUEST_CIDS = 1024

/** A request frame: its CIDs as text, with room. */
export const MAX_REQUEST_BYTES = 128 * 1024

/** Streams of `/meca/blocks/1` that one peer may have open, and all peers together: each holds one block in memory. */
export const MAX_STREAMS_PER_PEER = 4
export const MAX_STREAMS = 32

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

/** Streamed blocks being written while the next ones come. */
export const WRITES_BEHIND = 4

/** How long nothing may arrive before a fetch is given up. */
export const STALL_MS = 30_000

/** Slowest fetch that is waited for: 64 KiB/s, which is an ordinary home's upload at its worst. */
export const MIN_BYTES_PER_SECOND = 64 * 1024

/** How long a fetch may take before the slowest rate is held against it. */
export const GRACE_MS = 60_000

/** Blocks in one request of `/meca/blocks/1`, and requests sent ahead of their answers: together what may be on its way
 * to us at once, 16 MiB of 1 MiB blocks. That is the flow control, as a paused libp2p stream is sent a new window with
 * every resume and outgrows its buffer. */
export const MAX_REQUEST_CIDS = 4
export const REQUESTS_AHEAD = 4

/** A request frame: its CIDs as text, with room. */
export const MAX_REQUEST_BYTES = 1024

/** Requests that wait unread at the server: what one asker may send ahead, with room. */
export const MAX_UNREAD_REQUEST_BYTES = 64 * 1024

/** Answers that wait unread at the asker: all that it asked for, at the largest size of a block; more is not honest. */
export const MAX_UNREAD_ANSWER_BYTES = (MAX_REQUEST_CIDS * REQUESTS_AHEAD + 1) * MAX_BLOCK_BYTES

/** How long one request may take to answer: its blocks at their largest, at the slowest rate that is waited for. */
export const ANSWER_MS = GRACE_MS + (MAX_REQUEST_CIDS * MAX_BLOCK_BYTES * 1000) / MIN_BYTES_PER_SECOND

/** Streams of `/meca/blocks/1` that one peer may have open, and all peers together: each holds one block in memory. */
export const MAX_STREAMS_PER_PEER = 4
export const MAX_STREAMS = 32

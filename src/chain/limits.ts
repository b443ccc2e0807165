/**
 * The ceilings and waits of this room, each with its reason. An RPC endpoint is a stranger: it may be slow, wrong,
 * silent or endless.
 */

/** One request. Public endpoints answer in well under a second; what takes longer than this is asked again. */
export const REQUEST_TIMEOUT_MS = 10_000

/** How often a request is tried where the fault may pass (no connection, 429, 5xx, no JSON). */
export const MAX_TRIES = 4

/** The first wait between tries; each next one is twice as long, so that all tries together wait under two seconds. */
export const FIRST_RETRY_MS = 200

/** An endpoint that is asked too often may name a wait; one that is longer is not sat through. */
export const MAX_RETRY_AFTER_MS = 5_000

/** Of an endpoint's own error text, which ends on screens and in logs. */
export const MAX_ERROR_CHARS = 300

/** The bytes of a revert as hex: our contracts' errors have at most a few words. */
export const MAX_REVERT_CHARS = 20_000

/** A page of the task list is the largest answer that we ask for, and is far below this. */
export const MAX_REPLY_BYTES = 8 * 2 ** 20

/** How often state is asked for while waiting. Chains with blocks every second or slower need no more. */
export const POLL_MS = 1_000

/** A transaction that is not in a block by then is sent again with a higher fee. */
export const BUMP_AFTER_MS = 45_000

/** After so many fee rises (each at least an eighth, as nodes ask) the fee is about ten times the first one. */
export const MAX_BUMPS = 12

/** Longest wait for one transaction before it is reported as stuck; its intent stays and is taken up again. */
export const MAX_WAIT_MS = 15 * 60_000

/**
 * How long a nonce may be used up without a receipt of ours before it counts as taken by somebody else: endpoints behind
 * one address may lag each other by a few blocks, and anvil counts a moment before it shows.
 */
export const UNSEEN_MS = 15_000

/** Looks at the chain until an endpoint that lags behind what we have seen has caught up, or the chain has gone back. */
export const LAG_POLLS = 10

/**
 * How long numbers before a transaction's own may be missing on chain before it is called off: an endpoint named a number
 * too high, or the chain went back. Longer than endpoints lag each other, far shorter than anybody's patience.
 */
export const GAP_MS = 60_000

/** The least that a transaction costs, and the most that one may (EIP-7825); an estimate beyond is a lie. */
export const MIN_TX_GAS = 21_000n
export const MAX_TX_GAS = 2n ** 24n

/** Where the owner names no other: above every price that a chain had for longer than minutes. 500 gwei. */
export const MAX_FEE_PER_GAS = 500_000_000_000n

/** Entries of a listing fetched in one call; an entry is below 1 KiB. */
export const PAGE_SIZE = 200

/** Entries of a listing that are read in all: whoever fills a registry fills no memory of ours. */
export const MAX_LISTED = 20_000

/** Questions for one kind of log: an endpoint that serves 10,000 blocks at a time is asked for 20 million blocks. */
export const MAX_LOG_REQUESTS = 2_000

/** Rows in one claim transaction: about 25,000 gas each, so that it fits in a block of 15 million with room to spare. */
export const MAX_CLAIM_ROWS = 400

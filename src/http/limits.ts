/**
 * Every ceiling and deadline of the HTTP API, each with its reason. The caller holds the token, yet neither its fault
 * nor a web page that found a hole may fill the disk or hold the server.
 */

/** A request's head: a token, a job id and a few options need far less. */
export const MAX_HEADER_BYTES = 16_384
/** JSON bodies: the largest is a test's input in base64. */
export const MAX_JSON_BYTES = 8 * 2 ** 20
/** A job's input, unless the configuration says otherwise. */
export const MAX_INPUT_BYTES = 2 ** 30
/** Inputs up to this size stay in memory, larger ones go through a file, so that 64 at once need at most 256 MiB. */
export const MEMORY_INPUT_BYTES = 4 * 2 ** 20
/** Outputs up to this size are written in one go with their head: one system call, one packet. */
export const ONE_WRITE_BYTES = 65_536
/** Progress lines waiting for a slow reader; more are dropped, since a newer one says more. */
export const MAX_WAITING_BYTES = 2 ** 20
/** An answer in JSON that the client believes: a list of a thousand channels with their rows stays far below. */
export const MAX_ANSWER_BYTES = 64 * 2 ** 20

/** The head of a request comes in one packet from loopback. */
export const HEADERS_TIMEOUT_MS = 10_000
/** A whole request; a gigabyte through loopback takes seconds. */
export const REQUEST_TIMEOUT_MS = 300_000
/** How long a connection is kept for the next request; longer than the pauses of an interactive caller. */
export const KEEP_ALIVE_MS = 30_000
/** A reader of an output that takes nothing for so long is gone. */
export const STALLED_READER_MS = 60_000
/** How long the unread body of a refused request is thrown away, so that the caller gets to see the refusal. */
export const LINGER_MS = 500
/** How long requests under way may end by themselves when the server closes. */
export const CLOSE_GRACE_MS = 2000
/** Enough for 64 jobs in flight, a page and a few tools. */
export const MAX_CONNECTIONS = 512

/**
 * A voucher outside of any database, as one line of JSON: the line alone is enough to collect what it says, so that a
 * copy on another disk saves the money when this one is lost. A voucher is no secret; only its own host gains by it.
 */
import { z } from 'zod'
import { MecaError } from './errors.ts'
import { findingsOf } from './text.ts'
import { zAddress, zAmount, zCount, zHash, zSignature } from './units.ts'
import { toWire, zTerms } from './wire.ts'

const zVoucherLine = z.strictObject({
  version: z.literal(1),
  chainId: zCount,
  channels: zAddress,
  channelId: zHash,
  terms: zTerms,
  taskId: zHash,
  jobs: zCount,
  hostAmount: zAmount,
  developerAmount: zAmount,
  signature: zSignature,
  /** Signed over exactly what was billed; absent where it covers jobs that were under way. */
  exact: z.literal(true).exactOptional(),
})
export type VoucherLine = z.infer<typeof zVoucherLine>

/** A line has about 900 characters. */
export const MAX_VOUCHER_LINE = 8192

/** Throws `bad_input` that says what does not fit. */
export function parseVoucherLine(text: string): VoucherLine {
  if (text.length > MAX_VOUCHER_LINE) throw noVoucher(`it is longer than ${MAX_VOUCHER_LINE} characters`)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw noVoucher('it is not JSON', cause)
  }
  const parsed = zVoucherLine.safeParse(json)
  if (!parsed.success) throw noVoucher(findingsOf(parsed.error), parsed.error)
  return parsed.data
}

/** Without the end of the line. */
export function formatVoucherLine(voucher: VoucherLine): string {
  return JSON.stringify(toWire(voucher))
}

function noVoucher(why: string, cause?: unknown): MecaError {
  return new MecaError('bad_input', `This is no exported voucher: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    cure: 'take another copy of the file',
  })
}

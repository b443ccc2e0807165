/** What a package's image says of itself, read out of its config under the CID; nothing depends on it. */
import { z } from 'zod'
import { blobPath } from '../image/layout.ts'
import { imageMetadata } from '../task/borealis/metadata.ts'
import type { Base } from './base.ts'

/** An image's config is a few pages; more is not worth showing. */
const MAX_CONFIG_BYTES = 2 ** 20

const zConfig = z.object({
  config: z
    .object({ Env: z.array(z.string()).nullish(), Labels: z.record(z.string(), z.string()).nullish() })
    .optional(),
})

export type ImageFact = { name: string; value: string }

/** Nothing where the config is not to be had just now: the task is shown all the same. */
export async function factsOfImage(
  { ipfs }: Pick<Base, 'ipfs'>,
  cid: string,
  image: { id: string },
  signal: AbortSignal,
): Promise<ImageFact[]> {
  const path = `${cid}/image/${blobPath(image.id as `sha256:${string}`)}`
  const bytes = await ipfs.read(path, { signal, maxBytes: MAX_CONFIG_BYTES })
  const parsed = zConfig.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  const { Env, Labels } = parsed.data?.config ?? {}
  const env = Object.fromEntries(
    (Env ?? []).map((pair) => [pair.split('=', 1)[0] ?? '', pair.slice(pair.indexOf('=') + 1)]),
  )
  return imageMetadata(env, Labels ?? {})
}

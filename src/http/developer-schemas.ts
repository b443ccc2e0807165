/** What the developer's calls take and answer. */
import { z } from 'zod'
import type { Manifest } from '../task/package.ts'
import { address, amount, anyAddress, count, place, hash, milliseconds, money, output, resources } from './values.ts'

const format = z.string().max(40)
const buildArgs = z.record(z.string().max(200), z.string().max(10_000))

/** An archive or an image of the engine, by path, name or id. */
const image = z.string().min(1).max(4096)

export const checkRequest = z.strictObject({
  dir: place,
  format: format.exactOptional(),
  image: image.exactOptional(),
})
export const testRequest = z.strictObject({
  dir: place,
  format: format.exactOptional(),
  image: image.exactOptional(),
  buildArgs: buildArgs.exactOptional(),
  input: z.base64().exactOptional(),
})
export const publishRequest = z.strictObject({
  dir: place,
  image: image.exactOptional(),
  fee: amount,
  token: anyAddress.exactOptional(),
  name: z.string().max(63).exactOptional(),
  version: z.string().max(32).exactOptional(),
  format: format.exactOptional(),
  payee: anyAddress.exactOptional(),
  determinism: z.enum(['exact', 'none']).exactOptional(),
  buildArgs: buildArgs.exactOptional(),
  skipTest: z.boolean().exactOptional(),
})

const findings = z.array(
  z.object({ level: z.enum(['error', 'warning']), where: z.string(), what: z.string(), cure: z.string() }),
)
export const checkReport = z
  .object({ dir: z.string(), format: z.string(), ok: z.boolean(), findings })
  .meta({ id: 'CheckReport' })
export const testReport = z
  .object({
    dir: z.string(),
    format: z.string(),
    ok: z.boolean(),
    findings,
    imageId: z.string(),
    resources,
    buildMs: milliseconds,
    startMs: milliseconds,
    runMs: milliseconds,
    httpStatus: count.exactOptional(),
    output: output.exactOptional(),
    exitCode: z.number().int().exactOptional(),
    outputs: z.array(z.object({ path: z.string(), bytes: count })).exactOptional(),
    warnings: z.array(z.string()).exactOptional(),
    problem: z.string().exactOptional(),
    sameAsExample: z.boolean().exactOptional(),
    expected: output.exactOptional(),
    logTail: z.string(),
  })
  .meta({ id: 'TestReport' })

export const published = z
  .object({
    task: hash,
    cid: z.string(),
    name: z.string(),
    version: z.string(),
    format: z.string(),
    fee: money,
    token: address,
    developer: address,
    tx: hash,
    gas: money,
    bytes: count,
    newBytes: count,
  })
  .meta({ id: 'Published' })

export const taskSummary = z
  .object({
    task: hash,
    cid: z.string(),
    name: z.string(),
    version: z.string(),
    developer: address,
    fee: money,
    token: address,
    retired: z.boolean(),
  })
  .meta({ id: 'TaskSummary' })
/** task.json as it is in the package, where the fee is text. It was checked when it was fetched. */
type ManifestText = Omit<Manifest, 'fee'> & { fee: string }
const manifest = z
  .custom<ManifestText>((value) => typeof value === 'object' && value !== null)
  .meta({ id: 'Manifest', override: { type: 'object', description: "The package's task.json" } })
export const taskDetails = taskSummary
  .extend({
    payee: address,
    manifest,
    atHand: z.boolean(),
    descriptor: z.string(),
    parameters: z
      .array(
        z.object({
          name: z.string(),
          side: z.enum(['input', 'output', 'env', 'template']),
          kind: z.string(),
          required: z.boolean(),
          default: z.string().exactOptional(),
          choices: z.array(z.string()).readonly().exactOptional(),
          description: z.string().exactOptional(),
        }),
      )
      .exactOptional(),
    image: z.array(z.object({ name: z.string(), value: z.string() })),
  })
  .meta({ id: 'TaskDetails' })

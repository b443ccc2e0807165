/** What a node can do for a developer of tasks, as types. See api.ts for the units. */
import type { Resources } from '../core/resources.ts'
import type { Hex } from '../core/units.ts'
import type { Finding, Parameter } from '../task/format.ts'
import type { Manifest } from '../task/package.ts'
import type { OnProgress, Output } from './api-common.ts'

export type DeveloperApi = {
  check(dir: string, options: { format?: string; image?: string }, signal: AbortSignal): Promise<CheckReport>
  /** Builds the image and runs the example (or `input`) with the host's own limits and walls. */
  test(dir: string, options: TestOptions, onProgress: OnProgress, signal: AbortSignal): Promise<TestReport>
  publish(dir: string, options: PublishOptions, onProgress: OnProgress, signal: AbortSignal): Promise<Published>
  /** Newest first; of one developer where given. */
  list(options: { developer?: Hex; limit: number }, signal: AbortSignal): Promise<TaskSummary[]>
  /** `ref` is a CID, `developer/name` or `developer/name@version`. */
  show(ref: string, signal: AbortSignal): Promise<TaskDetails>
  versions(ref: string, signal: AbortSignal): Promise<TaskSummary[]>
}

export type CheckReport = { dir: string; format: string; ok: boolean; findings: Finding[] }
export type TestOptions = {
  format?: string
  image?: string
  buildArgs?: Readonly<Record<string, string>>
  input?: Uint8Array
}
export type TestReport = {
  dir: string
  format: string
  ok: boolean
  findings: Finding[]
  imageId: string
  resources: Resources
  buildMs: number
  startMs: number
  runMs: number
  httpStatus?: number
  /** Of an http task. */
  output?: Output
  /** Of a files task. */
  exitCode?: number
  outputs?: { path: string; bytes: number }[]
  warnings?: string[]
  /** Why it is not ok, in words. */
  problem?: string
  /** Whether the output is the example's; absent where another input was given. */
  sameAsExample?: boolean
  expected?: Output
  logTail: string
}

export type PublishOptions = {
  fee: bigint
  token?: Hex
  name?: string
  version?: string
  format?: string
  /** An archive or an image of the engine, instead of what the folder would give. */
  image?: string
  payee?: Hex
  determinism?: 'exact' | 'none'
  buildArgs?: Readonly<Record<string, string>>
  /** Publish without running the example first. */
  skipTest?: boolean
}
export type Published = {
  task: Hex
  cid: string
  name: string
  version: string
  format: string
  fee: string
  token: Hex
  developer: Hex
  tx: Hex
  gas: string
  bytes: number
  newBytes: number
}

export type TaskSummary = {
  task: Hex
  cid: string
  name: string
  version: string
  developer: Hex
  fee: string
  token: Hex
  retired: boolean
}
export type TaskDetails = TaskSummary & {
  payee: Hex
  manifest: Manifest
  atHand: boolean
  /** The format's own description, as the developer wrote it. */
  descriptor: string
  /** What a files task takes and leaves. */
  parameters?: Parameter[]
  /** What the image says of itself in labels and variables. */
  image: { name: string; value: string }[]
}

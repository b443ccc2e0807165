/**
 * The promise that every container engine keeps. An engine carries out plans and knows no money, no peers and no
 * task formats.
 *
 * Order of calls: `probe` and `sweep` once at start; then `pull`, `start`, `build` and `save` in any order and at the
 * same time. `pull` is safe to repeat. Whoever calls `start` owns the instance and must call `stop`, which is safe to
 * repeat. Every call ends when its signal fires and leaves nothing behind when it fails.
 * Errors: `engine_unavailable` when the engine cannot be reached or went away; `start_failed`, `start_timeout`,
 * `run_timeout`, `too_large`, `task_failed` as their names say; `cancelled` when the signal fired.
 */
import type { Readable } from 'node:stream'
import type { ContainerEnd, LogLine, Plan } from '../core/plan.ts'

export type Engine = {
  readonly name: string
  probe(signal: AbortSignal): Promise<EngineInfo>
  /** Brings the image by digest from a registry the engine reaches; resolves to the engine's image id. */
  pull(source: ImageSource, signal: AbortSignal, onProgress?: (p: PullProgress) => void): Promise<ImageId>
  has(image: ImageId, signal: AbortSignal): Promise<boolean>
  /** For http plans. Resolves when the container is ready to be asked. */
  start(image: ImageId, plan: Plan, options: StartOptions, signal: AbortSignal): Promise<Instance>
  /** For files plans. Resolves when the container has ended, however it did. */
  run(image: ImageId, plan: Plan, options: RunOptions, signal: AbortSignal): Promise<FilesRun>
  /** Removes what a killed process left behind, by label; resolves to how many things it removed. */
  sweep(signal: AbortSignal): Promise<number>
  build(
    contextFolder: string,
    buildArgs: Readonly<Record<string, string>>,
    signal: AbortSignal,
    onLog?: (line: string) => void,
  ): Promise<ImageId>
  /** The image as a `docker save` archive. */
  save(image: ImageId, signal: AbortSignal): Promise<Readable>
  /** One regular file out of an image; undefined where there is none, or a link. Throws `too_large`. */
  file(image: ImageId, path: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array | undefined>
  /** An image that the engine has, by name or id. */
  resolve(reference: string, signal: AbortSignal): Promise<ImageId | undefined>
  remove(image: ImageId, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** `sha256:…`, the digest of the image's config. */
export type ImageId = string

/** `reference` is like `127.0.0.1:5000/bafy…@sha256:…`; `imageId` is what the engine must end up with. */
export type ImageSource = { reference: string; imageId: ImageId }

export type PullProgress = { layer: string; status: string; doneBytes: number; totalBytes: number }

export type EngineInfo = {
  version: string
  /** Sandboxes that passed their self-test, `runc` first. */
  runtimes: readonly string[]
  cpuMillis: number
  memoryBytes: number
}

export type StartOptions = {
  /** Names the container for people and for the sweep; letters, digits and dashes. */
  name: string
  runtime?: string
  gpuIds?: readonly string[]
  onLog?: (line: LogLine) => void
}

/** A container that is ready. */
export type Instance = {
  readonly id: string
  /** How long the engine took, by step, for the phases shown to people. */
  readonly timings: Readonly<Record<string, number>>
  /** Settles when the container ends, for whatever reason; never rejects. */
  readonly ended: Promise<ContainerEnd>
  /** One request. May be called again while others are under way. Body bytes are carried as they are. */
  request(body: Uint8Array, limits: RequestLimits, signal: AbortSignal): Promise<Reply>
  setLogSink(sink: ((line: LogLine) => void) | undefined): void
  stop(): Promise<void>
}

export type RequestLimits = { timeoutMs: number; outputBytes: number }

export type Reply = { status: number; contentType: string; body: Uint8Array }

/**
 * Something to be put into the container before it starts: absolute path, and for a file its bytes. Who makes them streams
 * them in order; the engine carries them in without keeping them in memory.
 */
export type StagedEntry =
  | { kind: 'folder'; path: string }
  | { kind: 'file'; path: string; bytes: number; body: AsyncIterable<Uint8Array> | Uint8Array }

export type RunOptions = StartOptions & {
  staged: AsyncIterable<StagedEntry>
  /** The task's own process has begun: from here on it is billed. */
  onStarted?: () => void
}

/**
 * A container that ran to its end. Its volumes are kept until `dispose`, which is safe to repeat; what it printed is
 * at most the plan's log budget.
 */
export type FilesRun = {
  readonly end: ContainerEnd
  readonly timings: Readonly<Record<string, number>>
  readonly console: Uint8Array
  /**
   * What lies at the collected paths, in the engine's order. Only regular files and folders; anything else is told as
   * `left`. A body must be read before the next entry is asked for. Throws `too_large` beyond the plan's output bytes.
   */
  outputs(signal: AbortSignal): AsyncIterable<CollectedEntry>
  dispose(): Promise<void>
}

/** `path` is below the collected path, empty for itself. */
export type CollectedEntry =
  | { kind: 'folder'; name: string; path: string }
  | { kind: 'file'; name: string; path: string; bytes: number; body: AsyncIterable<Uint8Array> }
  | { kind: 'left'; name: string; path: string; why: string }

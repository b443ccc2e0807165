/**
 * What an engine needs to run one container, and what it gives back. A plan names files and paths and carries
 * no bytes; it knows nothing of money, peers or task formats, so that every format can share every engine.
 */
import type { Resources } from './resources.ts'

/** A plan without the image: formats make these, `role/execute` adds the image that was pulled. */
export type Plan = {
  /** Replaces the image's CMD; the ENTRYPOINT stays. */
  command?: readonly string[]
  env: Readonly<Record<string, string>>
  /** `nobody` is 65534:65534; `image` is what the image says (still without capabilities); or `uid:gid`. */
  user: 'nobody' | 'image' | `${number}:${number}`
  /** Only for formats whose images must write their root file system. */
  writableRoot: boolean
  resources: Resources
  limits: PlanLimits
  exchange: HttpExchange | FilesExchange
}

export type PlanLimits = {
  startTimeoutMs: number
  runTimeoutMs: number
  outputBytes: number
  /** stdout and stderr together; the container is killed when it prints more. */
  logBytes: number
  /** Size of the scratch tmpfs at /tmp; counts against memory. */
  scratchBytes: number
  pids: number
}

/** Start, wait until ready, one request per job, keep warm. */
export type HttpExchange = {
  kind: 'http'
  port: number
  /** Text that stdout must contain before the port is tried; empty when the port alone decides. */
  readyText: string
  method: 'POST'
  path: string
  contentType: string
}

/**
 * Stage inputs, run to the end, collect outputs. Everything staged or collected lies under one of `mounts`, each a
 * volume of limited size, so that a task fills its own room and never the host's disk.
 */
export type FilesExchange = {
  kind: 'files'
  /** Replaces the image's ENTRYPOINT where the format says so. */
  entrypoint?: readonly string[]
  /** The task's working folder where the format sets one. */
  workingFolder?: string
  mounts: readonly Mount[]
  /** In this order. Paths are absolute in the container; parents are made. */
  stage: readonly Staged[]
  collect: readonly Collected[]
}

/** `sizeBytes` is room for what is written while it runs, beside what is staged there. */
export type Mount = { path: string; writable: boolean; sizeBytes: number }

/** `from` is a path in the job's bundle, see core/bundle; `text` is written as it is, without a newline of ours. */
export type Staged =
  | { kind: 'text'; path: string; text: string }
  | { kind: 'file'; path: string; from: string }
  /** `from` absent: an empty folder. */
  | { kind: 'folder'; path: string; from?: string }

export type Collected = { name: string; path: string; folder: boolean }

/** How a container ended. `exitCode` 137 with `outOfMemory` false is a kill. */
export type ContainerEnd = {
  exitCode: number
  outOfMemory: boolean
  /** Why we ended it ourselves, where we did. */
  killedFor?: 'log budget' | 'time limit' | 'disk budget' | 'stopped'
  /** The last lines of stdout and stderr, at most 4 KiB. */
  logTail: string
}

export type LogLine = { stream: 'stdout' | 'stderr'; text: string }

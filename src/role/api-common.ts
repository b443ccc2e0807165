/** Words that every story of the API speaks: a currency, something under way, an output. See api.ts for the units. */
import type { Phase } from '../core/job.ts'
import type { LogLine } from '../core/plan.ts'
import type { Hex } from '../core/units.ts'

export type TokenInfo = { address: Hex; symbol: string; decimals: number }

/** Something that is under way, told while it happens. */
export type Progress =
  | { kind: 'step'; step: string; detail?: string }
  | { kind: 'bytes'; step: string; doneBytes: number; totalBytes: number }
  | { kind: 'phase'; phase: Phase; at: number; doneBytes?: number; totalBytes?: number }
  | { kind: 'log'; line: LogLine }
export type OnProgress = (progress: Progress) => void

export type Output = { text: string } | { base64: string }

/**
 * What a client remembers of a host: how many of its jobs came back answered and how many did not, fading with time. A
 * machine that was repaired gets work again, and a good name of long ago does not outweigh the failures of today.
 */
import { z } from 'zod'
import { zCount } from './units.ts'

/** Counts lose half of their weight in this time: three failures in a row stand against a host for half a day. */
export const HALF_LIFE_MS = 2 * 86_400_000

/** The counts as they were at the moment `at`, in ms. */
export type Experience = { answered: number; failed: number; at: number }

export const STRANGER: Experience = { answered: 0, failed: 0, at: 0 }

/** More than a client can count in a life; a row that says so is damaged. */
const zWeight = z.number().min(0).max(1e12)
export const zExperience = z.strictObject({ answered: zWeight, failed: zWeight, at: zCount })

/** What it is worth at `now`. A clock that went back adds nothing. */
export function faded({ answered, failed, at }: Experience, now: number): Experience {
  const left = 0.5 ** (Math.max(0, now - at) / HALF_LIFE_MS)
  return { answered: answered * left, failed: failed * left, at: Math.max(at, now) }
}

/** With one more job that went well or badly, or with what weighs like several. */
export function learned(past: Experience, good: boolean, now: number, times = 1): Experience {
  const { answered, failed, at } = faded(past, now)
  return good ? { answered: answered + times, failed, at } : { answered, failed: failed + times, at }
}

/** Failed about three times, and more often than it answered. A failure just now counts in full, so halves round up. */
export function isUnreliable({ answered, failed }: Experience): boolean {
  return Math.round(failed) >= 3 && failed > answered
}

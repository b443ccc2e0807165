/**
 * What this machine has, for offers: processors, memory, disk, GPUs. Static facts are read once and moving ones on a
 * slow clock, never in the path of a job. A number that cannot be true (negative, not a number, 2^64 - 1 from a
 * confused driver) is refused instead of offered.
 */
import { cpu, fsSize, graphics, mem } from 'systeminformation'
import { printable } from '../core/text.ts'
import { quote } from '../core/units.ts'

export type HardwareFacts = {
  cpu: { model: string; cores: number }
  memory: { totalBytes: number; freeBytes: number }
  /** Of the file system that holds the given folder. */
  disk: { totalBytes: number; freeBytes: number }
  gpus: readonly Gpu[]
  /** What was reported and not believed. */
  doubts: readonly string[]
}

export type Gpu = { id: string; model: string; memoryBytes: number }

/** Free memory and disk change slowly against the length of a job. */
const MOVING_MS = 30_000
const MIB = 2 ** 20
/** Far above any machine: 4,096 cores, 64 TiB of memory, 1 EiB of disk, 1,024 GPUs of 4 TiB. */
const CEILINGS = { cores: 4096, memory: 2 ** 46, disk: 2 ** 60, gpus: 1024, gpuMemoryMib: 2 ** 22 }
const MAX_MODEL_CHARS = 100

/** A reader that asks the machine only as often as it must. */
export function factReader(folder: string, now: () => number = Date.now): () => Promise<HardwareFacts> {
  let still: Promise<Pick<HardwareFacts, 'cpu' | 'gpus' | 'doubts'>> | undefined
  let moving: { atMs: number; read: Promise<Pick<HardwareFacts, 'memory' | 'disk' | 'doubts'>> } | undefined
  return async () => {
    still ??= readStill()
    if (moving === undefined || now() - moving.atMs > MOVING_MS) moving = { atMs: now(), read: readMoving(folder) }
    const [a, b] = await Promise.all([still, moving.read])
    return { ...a, ...b, doubts: [...a.doubts, ...b.doubts] }
  }
}

async function readStill(): Promise<Pick<HardwareFacts, 'cpu' | 'gpus' | 'doubts'>> {
  const [processor, cards] = await Promise.all([cpu(), graphics()])
  const sane = judge()
  return {
    cpu: { model: processor.brand, cores: sane('cores', processor.cores, CEILINGS.cores) },
    gpus: gpusOf(cards.controllers, sane),
    doubts: sane.doubts,
  }
}

/** A card as the driver's tools describe it, in whatever they print: anything may be missing, or be text. */
export type ReportedCard = { vendor?: unknown; name?: unknown; model?: unknown; memoryTotal?: unknown; vram?: unknown }

/**
 * NVIDIA's cards, numbered as the engine numbers them. One whose memory is not believed keeps its number, because the
 * next one has the next, and offers no memory. A number of cards that no machine has is no list of cards.
 */
export function gpusOf(cards: readonly ReportedCard[], sane: Sane): Gpu[] {
  const nvidia = cards.filter((card) => typeof card.vendor === 'string' && /nvidia/i.test(card.vendor))
  if (sane('the number of GPUs', nvidia.length, CEILINGS.gpus) === 0) return []
  return nvidia.map((card, index) => ({
    id: String(index),
    model: nameOf(card),
    memoryBytes: sane('GPU memory in MiB', card.memoryTotal ?? card.vram, CEILINGS.gpuMemoryMib) * MIB,
  }))
}

function nameOf({ name, model }: ReportedCard): string {
  const told = [name, model].find((text) => typeof text === 'string' && text !== '')
  return printable(typeof told === 'string' ? told : 'GPU').slice(0, MAX_MODEL_CHARS)
}

async function readMoving(folder: string): Promise<Pick<HardwareFacts, 'memory' | 'disk' | 'doubts'>> {
  const [memory, disks] = await Promise.all([mem(), fsSize()])
  const sane = judge()
  const disk = disks.filter((d) => holds(d.mount, folder)).sort((a, b) => b.mount.length - a.mount.length)[0]
  return {
    memory: {
      totalBytes: sane('memory', memory.total, CEILINGS.memory),
      freeBytes: sane('free memory', memory.available, CEILINGS.memory),
    },
    disk: {
      totalBytes: sane('disk', disk?.size ?? 0, CEILINGS.disk),
      freeBytes: sane('free disk', disk?.available ?? 0, CEILINGS.disk),
    },
    doubts: sane.doubts,
  }
}

function holds(mount: string, folder: string): boolean {
  return mount === '/' || folder === mount || folder.startsWith(`${mount}/`)
}

/** Passes a believable number on and turns any other into nothing, which offers nothing. */
export type Sane = ((what: string, value: unknown, ceiling: number) => number) & { doubts: string[] }

export function judge(): Sane {
  const doubts: string[] = []
  const sane = (what: string, value: unknown, ceiling: number) => {
    const number = typeof value === 'number' ? value : Number.NaN
    if (number >= 0 && number <= ceiling) return Math.floor(number)
    doubts.push(`${what} was reported as ${quote(String(value))}`)
    return 0
  }
  return Object.assign(sane, { doubts })
}

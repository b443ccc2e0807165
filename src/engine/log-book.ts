/**
 * The log of one container: who listens to its lines, whether it said that it is ready, how it ended its last words,
 * and what it may still print. A container that prints without pause costs the daemon a core outside its own limits
 * (measured), so whoever goes over the budget is ended.
 */
import type { Readable } from 'node:stream'
import type { LogLine } from '../core/plan.ts'
import { Demultiplexer, LineCutter, Recorder, Tail, TextFinder } from './logs.ts'

export class LogBook {
  readonly #budgetBytes: number
  readonly #tail = new Tail()
  readonly #ready: TextFinder
  readonly #announced = Promise.withResolvers<void>()
  readonly #overBudget = Promise.withResolvers<void>()
  readonly #drained = Promise.withResolvers<void>()
  #printedBytes = 0
  #kept: Recorder | undefined
  #sink: ((line: LogLine) => void) | undefined

  /** With `keep` every byte within the budget is remembered, for jobs whose console is part of the result. */
  constructor(readyText: string, budgetBytes: number, sink?: (line: LogLine) => void, keep = false) {
    this.#budgetBytes = budgetBytes
    this.#ready = new TextFinder(readyText)
    this.#sink = sink
    if (keep) this.#kept = new Recorder(budgetBytes)
    if (this.#ready.found) this.#announced.resolve()
  }

  /** Resolves when the ready text was seen on stdout. */
  get announced(): Promise<void> {
    return this.#announced.promise
  }

  /** Resolves when more was printed than allowed. */
  get overBudget(): Promise<void> {
    return this.#overBudget.promise
  }

  /** Resolves when the stream has ended: nothing more will be printed. */
  get drained(): Promise<void> {
    return this.#drained.promise
  }

  get tail(): string {
    return this.#tail.toString()
  }

  /** stdout and stderr in the order in which the engine passed them on, cut at the budget. */
  get console(): Uint8Array {
    return this.#kept?.bytes ?? new Uint8Array()
  }

  setSink(sink: ((line: LogLine) => void) | undefined): void {
    this.#sink = sink
  }

  /** Each job has the whole budget: a container that stays warm for a thousand jobs may log a thousand times as much. */
  renewBudget(): void {
    this.#printedBytes = 0
  }

  read(stream: Readable): void {
    const cutters = { stdout: this.#cutter('stdout'), stderr: this.#cutter('stderr') }
    const split = new Demultiplexer((name, bytes) => this.#take(name, bytes, cutters[name]))
    stream.on('data', (chunk: Buffer) => split.push(chunk))
    const end = () => {
      cutters.stdout.flush()
      cutters.stderr.flush()
      this.#drained.resolve()
    }
    stream.once('close', end)
    stream.once('end', end)
    // A broken stream is the end of the log; the container's own end is observed elsewhere.
    stream.once('error', end)
  }

  #cutter(stream: LogLine['stream']): LineCutter {
    return new LineCutter((text) => {
      this.#tail.push(text)
      this.#sink?.({ stream, text })
    })
  }

  /** Beyond the budget nothing is looked at any more: the container is being ended and may print a long time yet. */
  #take(stream: LogLine['stream'], bytes: Buffer, cutter: LineCutter): void {
    if (this.#printedBytes > this.#budgetBytes) return
    this.#printedBytes += bytes.length
    this.#kept?.push(bytes)
    if (stream === 'stdout' && this.#ready.push(bytes)) this.#announced.resolve()
    cutter.push(bytes)
    if (this.#printedBytes > this.#budgetBytes) this.#overBudget.resolve()
  }
}

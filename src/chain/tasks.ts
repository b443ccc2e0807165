/** The Tasks contract, typed: what is published, by whom, for how much. */
import { MecaError } from '../core/errors.ts'
import type { Hex } from '../core/units.ts'
import { tasksAbi } from './abi.ts'
import type { Chain, TxReceipt } from './chain.ts'
import { Codec } from './codec.ts'
import { readPages } from './pages.ts'
import type { Wallet } from './wallet.ts'

/** An entry as it stands on chain. Compare it with the package before believing it: anybody may have made it. */
export type TaskEntry = {
  taskId: Hex
  developer: Hex
  payee: Hex
  token: Hex
  fee: bigint
  /** Seconds since the epoch. */
  publishedAt: bigint
  /** No new quotes; claims still pay. */
  retired: boolean
  name: string
  version: string
}

export type NewTask = { taskId: Hex; fee: bigint; token: Hex; payee: Hex; name: string; version: string }

const codec = new Codec(tasksAbi)

export class Tasks {
  readonly #chain: Chain
  readonly #address: Hex

  constructor(chain: Chain) {
    this.#chain = chain
    this.#address = chain.deployment.contracts.tasks
  }

  /** The wallet is the developer, for good. Throws `chain_refused` naming the contract's reason. */
  async publish(wallet: Wallet, task: NewTask, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('publish', [task.taskId, task.fee, task.token, task.payee, task.name, task.version])
    return wallet.send({ to: this.#address, data }, `publish task ${task.name}@${task.version}`, signal)
  }

  async retire(wallet: Wallet, taskId: Hex, signal: AbortSignal): Promise<TxReceipt> {
    return wallet.send({ to: this.#address, data: codec.encode('retire', [taskId]) }, `retire task ${taskId}`, signal)
  }

  async setPayee(wallet: Wallet, taskId: Hex, payee: Hex, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('setPayee', [taskId, payee])
    return wallet.send({ to: this.#address, data }, `set the payee of task ${taskId}`, signal)
  }

  /** Undefined where nothing is published under this id. */
  async get(taskId: Hex, signal: AbortSignal): Promise<TaskEntry | undefined> {
    return this.#chain.read(codec, this.#address, 'get', [taskId], signal).catch((error: unknown) => {
      if (error instanceof MecaError && String(error.details?.['reason']).startsWith('UnknownTask')) return undefined
      throw error
    })
  }

  /** The latest version under (developer, name), or the given one; undefined where there is none. */
  async byName(
    developer: Hex,
    name: string,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<TaskEntry | undefined> {
    const taskId =
      version === undefined
        ? await this.#chain.read(codec, this.#address, 'latest', [developer, name], signal)
        : await this.#chain.read(codec, this.#address, 'byVersion', [developer, name, version], signal)
    return BigInt(taskId) === 0n ? undefined : this.get(taskId, signal)
  }

  /** Newest first; of one developer, or of all. At most `limits.MAX_LISTED`. */
  async list(options: { developer?: Hex }, signal: AbortSignal): Promise<TaskEntry[]> {
    const { developer } = options
    const read = this.#chain.read.bind(this.#chain)
    const count =
      developer === undefined
        ? await read(codec, this.#address, 'count', [], signal)
        : await read(codec, this.#address, 'countOf', [developer], signal)
    return readPages(count, async (start, limit) =>
      developer === undefined
        ? read(codec, this.#address, 'page', [start, limit], signal)
        : read(codec, this.#address, 'pageOf', [developer, start, limit], signal),
    )
  }
}

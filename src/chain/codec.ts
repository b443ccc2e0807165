/**
 * The typed border to the contracts' ABI: arguments and results have the types that the ABI says, addresses are
 * lower-case, and a revert becomes an error that names the contract's own reason.
 */
import { Interface } from 'ethers'
import type { EventFragment } from 'ethers'
import type {
  Abi,
  AbiParameter,
  AbiParametersToPrimitiveTypes,
  ExtractAbiFunction,
  ExtractAbiFunctionNames,
} from 'abitype'
import { MecaError } from '../core/errors.ts'
import type { Hex } from '../core/units.ts'
import { channelsAbi, hostsAbi, tasksAbi } from './abi.ts'

export type FunctionName<A extends Abi> = ExtractAbiFunctionNames<A>
export type Args<A extends Abi, N extends FunctionName<A>> = AbiParametersToPrimitiveTypes<
  ExtractAbiFunction<A, N>['inputs'],
  'inputs'
>
type Outputs<A extends Abi, N extends FunctionName<A>> = AbiParametersToPrimitiveTypes<
  ExtractAbiFunction<A, N>['outputs'],
  'outputs'
>
/** One output stands alone, several are a tuple. */
export type Result<A extends Abi, N extends FunctionName<A>> =
  Outputs<A, N> extends readonly [infer One] ? One : Outputs<A, N>

export type Log = { address: Hex; topics: readonly Hex[]; data: Hex }

export class Codec<const A extends Abi> {
  readonly #interface: Interface
  readonly #abi: A

  constructor(abi: A) {
    this.#abi = abi
    // As text, since the two libraries' types for an ABI differ in what may be undefined.
    this.#interface = new Interface(JSON.stringify(abi))
  }

  encode<N extends FunctionName<A>>(name: N, args: Args<A, N>): Hex {
    return this.#interface.encodeFunctionData(name, args as readonly unknown[]) as Hex
  }

  /** Throws `chain_unreachable` where the bytes are not what the ABI says. */
  decode<N extends FunctionName<A>>(name: N, data: Hex): Result<A, N> {
    const outputs = this.#outputs(name)
    try {
      const values: readonly unknown[] = this.#interface.decodeFunctionResult(name, data)
      // What decodes and is longer, or has bits where no value has any, was not made by the contract.
      if (this.#interface.encodeFunctionResult(name, values) !== data.toLowerCase()) throw new Error('not canonical')
      const plain = outputs.map((output, i) => toPlain(output, values[i]))
      return (plain.length === 1 ? plain[0] : plain) as Result<A, N>
    } catch (cause) {
      const message = `The chain's answer to ${name} is not what the contract gives (${data.length / 2 - 1} bytes)`
      throw new MecaError('chain_unreachable', message, { cause, cure: 'Check the contract addresses and the RPC.' })
    }
  }

  /** The arguments of those logs that are this event, by name. Throws `chain_unreachable` as `decode` does. */
  events(name: string, logs: readonly Log[]): Readonly<Record<string, unknown>>[] {
    const event = this.#interface.getEvent(name)
    if (event === null) return []
    return logs
      .filter((log) => log.topics[0] === event.topicHash)
      .map((log) => {
        const values = this.#logValues(event, log)
        return Object.fromEntries(event.inputs.map((input, i) => [input.name, toPlain(input, values[i])]))
      })
  }

  /** The first topic of an event's logs. */
  topic(name: string): Hex {
    const event = this.#interface.getEvent(name)
    if (event === null) throw new MecaError('internal', `The contract has no event ${name}`)
    return event.topicHash as Hex
  }

  #logValues(event: EventFragment, { data, topics }: Log): readonly unknown[] {
    try {
      // To an array: values that do not decode throw where they are looked at.
      return [...(this.#interface.decodeEventLog(event, data, topics) as Iterable<unknown>)]
    } catch (cause) {
      const message = `The chain's log of ${event.name} is not what the contract gives`
      throw new MecaError('chain_unreachable', message, { cause, cure: 'Use another RPC endpoint.' })
    }
  }

  #outputs(name: string): readonly AbiParameter[] {
    const found = this.#abi.find((item) => item.type === 'function' && item.name === name)
    return found?.type === 'function' ? found.outputs : []
  }
}

const ERRORS = new Interface([...tasksAbi, ...hostsAbi, ...channelsAbi].filter((item) => item.type === 'error'))

/** `ClaimFirst(claimed: 5, agreed: 10)` from the bytes of a revert; undefined where they are no error of ours. */
export function revertReason(data: unknown): string | undefined {
  if (typeof data !== 'string' || !/^0x([0-9a-f]{2})+$/i.test(data)) return undefined
  const error = ERRORS.parseError(data)
  if (error === null) return undefined
  const args = error.fragment.inputs.map((input, i) => `${input.name}: ${String(error.args[i])}`)
  return `${error.name}(${args.join(', ')})`
}

type Parameter = {
  readonly type: string
  readonly name?: string | undefined
  readonly components?: readonly Parameter[] | null | undefined
}

function toPlain(parameter: Parameter, value: unknown): unknown {
  const { type, components } = parameter
  if (type.endsWith(']')) {
    const item = { ...parameter, type: type.slice(0, type.lastIndexOf('[')) }
    return (value as readonly unknown[]).map((v) => toPlain(item, v))
  }
  if (type.startsWith('tuple')) {
    const values = value as readonly unknown[]
    return Object.fromEntries((components ?? []).map((c, i) => [c.name, toPlain(c, values[i])]))
  }
  if (type === 'address') return (value as string).toLowerCase()
  // abitype says that integers of up to 48 bits are numbers.
  const bits = /^u?int(\d+)$/.exec(type)?.[1]
  return bits !== undefined && Number(bits) <= 48 ? Number(value) : value
}

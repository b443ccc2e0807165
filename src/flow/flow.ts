/**
 * A workflow as its author writes it: steps that name a task, inputs and outputs. Read with every fault at once, and put
 * into an order in which nothing starts before what it reads from. Where steps run is the market's business.
 */
import { DepGraph } from 'dependency-graph'
import { z } from 'zod'
import { zInputName } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import { findingsOf } from '../core/text.ts'
import { readYaml } from '../task/safe-text.ts'
import type { ReadText } from '../task/safe-text.ts'

const zStepName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$/, '1 to 40 of letters, digits, dash and underscore')

/** `step.output` of another step. */
const zFrom = z.strictObject({
  from: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]*\..+$/, 'STEP.OUTPUT'),
})
/** Texts may be `@PATH` or `ipfs://CID`; anything that is no text is written as JSON. */
const zInput = z.union([
  zFrom,
  z.strictObject({ value: z.unknown() }),
  z.string(),
  z.number(),
  z.boolean(),
  z.array(z.unknown()),
])

const zStep = z.strictObject({
  task: z.string().min(1).max(300),
  in: z.record(zInputName, zInput).optional(),
  /** What an http task is asked with. */
  data: z.union([zFrom, z.string(), z.record(z.string(), z.unknown())]).optional(),
  env: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  template: z.string().optional(),
  /** A folder for the outputs, relative to that of the run; false: not wanted here. */
  out: z.union([z.string().min(1), z.literal(false)]).optional(),
  /** Steps that must have ended well before, though nothing of them is read. */
  needs: z.array(z.string()).optional(),
  host: z.string().optional(),
  maxPrice: z.union([z.string(), z.number()]).optional(),
  maxSeconds: z.number().int().min(1).optional(),
})
const zFlow = z.strictObject({
  name: z.string().max(200).optional(),
  steps: z.record(zStepName, zStep).refine((steps) => Object.keys(steps).length > 0, 'a workflow needs a step'),
})

/** What an input is: a text, a place of this machine, content on IPFS, or what another step leaves. */
export type StepInput =
  | { kind: 'value'; text: string }
  | { kind: 'place'; path: string }
  | { kind: 'link'; cid: string }
  | { kind: 'output'; step: string; output: string }

export type Step = {
  name: string
  task: string
  inputs: ReadonlyMap<string, StepInput>
  data: StepInput | undefined
  env: Readonly<Record<string, string>>
  template: string | undefined
  out: string | false | undefined
  needs: readonly string[]
  host: string | undefined
  maxPrice: string | undefined
  maxSeconds: number | undefined
}

/** `steps` are in an order that works. */
export type Flow = { name: string; steps: readonly Step[] }

/** The name of an http task's only output. */
export const ANSWER = 'answer'
/** People write dozens of steps, converters hundreds. */
const MAX_STEPS = 1000

/** YAML or JSON. Throws `bad_input` with every fault and its line. */
export function readFlow(text: string, what: string): Flow {
  const read = readYaml(text, { what, code: 'bad_input' })
  const parsed = zFlow.safeParse(read.value)
  if (!parsed.success) {
    throw new MecaError('bad_input', `${what} is no workflow: ${placed(parsed.error, read)}`, {
      cure: 'write steps: {NAME: {task: REF, in: {INPUT: VALUE or {from: STEP.OUTPUT}}}}; see docs/flows.md',
    })
  }
  const steps = Object.entries(parsed.data.steps).map(([name, step]) => stepOf(name, step, read))
  if (steps.length > MAX_STEPS) throw new MecaError('bad_input', `${what} has more than ${MAX_STEPS} steps`)
  return { name: parsed.data.name ?? 'flow', steps: ordered(steps, what) }
}

function placed(error: z.ZodError, read: ReadText): string {
  const [first] = error.issues
  const path = (first?.path ?? []).filter((part) => typeof part !== 'symbol')
  return `line ${read.placeOf(path).line}: ${findingsOf(error)}`
}

function stepOf(name: string, step: z.infer<typeof zStep>, read: ReadText): Step {
  const spelling = (input: string) => read.spellingOf(['steps', name, 'in', input])
  return {
    name,
    task: step.task,
    inputs: new Map(Object.entries(step.in ?? {}).map(([key, value]) => [key, inputOf(value, spelling(key))])),
    data: step.data === undefined ? undefined : dataOf(step.data),
    env: Object.fromEntries(Object.entries(step.env ?? {}).map(([key, value]) => [key, String(value)])),
    template: step.template,
    out: step.out,
    needs: step.needs ?? [],
    host: step.host,
    maxPrice: step.maxPrice === undefined ? undefined : String(step.maxPrice),
    maxSeconds: step.maxSeconds,
  }
}

/** A number keeps its author's spelling: to many a task 1.0 is not 1. */
function inputOf(value: z.infer<typeof zInput>, spelling: string | undefined): StepInput {
  if (typeof value === 'string') return textInput(value)
  if (typeof value === 'object' && 'from' in value) return outputOf(value)
  if (typeof value === 'object' && 'value' in value) {
    return { kind: 'value', text: typeof value.value === 'string' ? value.value : JSON.stringify(value.value ?? null) }
  }
  return { kind: 'value', text: typeof value === 'number' && spelling !== undefined ? spelling : JSON.stringify(value) }
}

function textInput(text: string): StepInput {
  if (text.startsWith('@@')) return { kind: 'value', text: text.slice(1) }
  if (text.startsWith('@')) return { kind: 'place', path: text.slice(1) }
  return text.startsWith('ipfs://') ? { kind: 'link', cid: text.slice('ipfs://'.length) } : { kind: 'value', text }
}

function dataOf(data: NonNullable<z.infer<typeof zStep>['data']>): StepInput {
  if (typeof data === 'string') return textInput(data)
  const from = zFrom.safeParse(data)
  return from.success ? outputOf(from.data) : { kind: 'value', text: JSON.stringify(data) }
}

function outputOf({ from }: z.infer<typeof zFrom>): StepInput {
  const at = from.indexOf('.')
  return { kind: 'output', step: from.slice(0, at), output: from.slice(at + 1) }
}

/** The steps that this one waits for. */
export function dependenciesOf({ inputs, data, needs }: Step): string[] {
  const read = [...inputs.values(), data].flatMap((input) => (input?.kind === 'output' ? [input.step] : []))
  return [...new Set([...read, ...needs])]
}

function ordered(steps: readonly Step[], what: string): Step[] {
  const graph = new DepGraph<Step>()
  for (const step of steps) graph.addNode(step.name, step)
  for (const step of steps) {
    for (const other of dependenciesOf(step)) {
      if (!graph.hasNode(other))
        throw new MecaError(
          'bad_input',
          `The step ${step.name} of ${what} reads from ${other}, which is no step of it`,
          {
            cure: `name one of ${steps
              .map(({ name }) => name)
              .join(', ')
              .slice(0, 500)}`,
          },
        )
      graph.addDependency(step.name, other)
    }
  }
  try {
    return graph.overallOrder().map((name) => graph.getNodeData(name))
  } catch (cause) {
    const circle = cause instanceof Error ? cause.message.replace(/^.*: /, '') : ''
    throw new MecaError('bad_input', `The steps of ${what} wait for each other: ${circle}`, {
      cause,
      cure: 'remove one of the references',
    })
  }
}

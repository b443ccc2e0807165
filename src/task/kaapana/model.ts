/**
 * `processing-container.json` as it is written, in both generations that are in use: the current one, and the older one of the
 * published guide with `complexity`, `type` and `adjustable`. Fields that neither knows are ignored, as the reference does.
 */
import { z } from 'zod'
import { zLimits } from '../quantities.ts'

export const DESCRIPTOR = 'processing-container.json'

/** A published container has up to a dozen templates of a few channels. */
const MAX_TEMPLATES = 200
const MAX_ENV = 1000
/** Each channel is a volume or two of the engine, which mounts 64 in all. */
const MAX_CHANNELS = 32

const zText = z.string().max(10_000)
const zCommand = z.array(z.string().max(65_536)).max(1000).nullish()
const zLimitsOrNone = z.preprocess(withoutNulls, zLimits.nullish())
/** Whole numbers as the reference takes them: `2.0` and `"2"` are two. */
const zWhole = z.union([
  z.number().int().min(-1e9).max(1e9),
  z
    .string()
    .regex(/^[+-]?[0-9]{1,9}$/)
    .transform(Number),
])

/** A formula in `n`: sign, coefficient, `*`, the letter, `**` and an exponent; all but the letter may be absent. */
const FORMULA = /^ *([+-]?) *([0-9]{0,9}(?:\.[0-9]{1,9})?) *\*? *n *(?:\*\* *([0-9]))? *$/

const zRuleText = z.string().max(1000).nullish()
const zRawRule = z
  .object({
    scale_factor: zWhole.optional(),
    complexity: z.string().max(100).regex(FORMULA, 'must be a formula in n, such as 1.5*n or 2*n**2').optional(),
    type: z.enum(['limit', 'request']),
    mode: z.enum(['sum', 'max_file_size', 'max_item_sum']),
    target_dir: zRuleText,
    target_regex: zRuleText,
    target_glob: zRuleText,
  })
  .refine((rule) => rule.scale_factor !== undefined || rule.complexity !== undefined, {
    path: ['scale_factor'],
    message: 'must be a whole number',
  })

/** Memory is `factor × size ** exponent`. */
export const zRule = zRawRule.transform(({ scale_factor, complexity, ...rule }) => ({
  ...(scale_factor === undefined ? readFormula(complexity ?? 'n') : { factor: scale_factor, exponent: 1 }),
  type: rule.type,
  mode: rule.mode,
  dir: rule.target_dir ?? '',
  regex: rule.target_regex ?? '.*',
  glob: rule.target_glob ?? '*',
}))
export type Rule = z.infer<typeof zRule>

const zChannel = z.object({
  name: z.string().max(200),
  mounted_path: z.string().max(1000),
  description: zText.nullish(),
  scale_rule: zRule.nullish(),
})
export type RawChannel = z.infer<typeof zChannel>

const zEnv = z.object({
  name: z.string().max(200),
  value: z.string().max(65_536),
  choices: z.array(z.string().max(65_536)).max(1000).nullish(),
  description: zText.nullish(),
  adjustable: z.boolean().nullish(),
})
export type RawEnv = z.infer<typeof zEnv>

export const zResourcesOf = z.object({ limits: zLimitsOrNone, requests: zLimitsOrNone })

export const zTemplate = z.object({
  identifier: z.string().min(1).max(200),
  description: zText,
  inputs: z.array(zChannel).max(MAX_CHANNELS),
  outputs: z.array(zChannel).max(MAX_CHANNELS),
  env: z.array(zEnv).max(MAX_ENV),
  command: zCommand,
  resources: zResourcesOf.nullish(),
})
export type RawTemplate = z.infer<typeof zTemplate>

export const zApiVersion = z.literal(1, 'must be 1').optional()

export const zContainer = z.object({
  name: z.string().min(1).max(200),
  description: zText,
  api_version: zApiVersion,
  templates: z.array(zTemplate).max(MAX_TEMPLATES),
})

function readFormula(text: string): { factor: number; exponent: number } {
  const [, sign = '', coefficient = '', exponent = '1'] = FORMULA.exec(text) ?? []
  const factor = coefficient === '' ? 1 : Number(coefficient)
  return { factor: sign === '-' ? -factor : factor, exponent: Number(exponent) }
}

/** A quantity of null says nothing, as if it were not there. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([, quantity]) => quantity !== null))
}

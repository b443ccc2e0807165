/** What images of that community say of themselves, in variables and labels, for people; nothing depends on it. */
import { printable } from '../../core/text.ts'

const VARIABLES: readonly (readonly [string, string])[] = [
  ['IMAGE_GIT_HASH', 'git hash'],
  ['IMAGE_GIT_BRANCH', 'git branch'],
  ['IMAGE_TIMESTAMP', 'built'],
]
const LABELS = ['application', 'organization', 'email', 'license', 'repository', 'website'] as const
/** A fact fits on a line. */
const MAX_CHARS = 200

type ImageFact = { name: string; value: string }

/** Those that the image has and that are not empty, in one order. */
export function imageMetadata(
  env: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
): ImageFact[] {
  const facts = [
    ...LABELS.map((label) => ({ name: label, value: own(labels, label) })),
    ...VARIABLES.map(([variable, name]) => ({ name, value: own(env, variable) })),
  ]
  return facts.filter(({ value }) => value !== '')
}

function own(values: Readonly<Record<string, string>>, key: string): string {
  const value = Object.hasOwn(values, key) ? (values[key] ?? '') : ''
  return printable(value.replace(/\s+/g, ' ').trim()).slice(0, MAX_CHARS)
}

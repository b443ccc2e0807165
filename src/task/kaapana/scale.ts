/**
 * Scale rules: memory that grows with what a channel holds. Sizes are those of the bundle, which both sides know before the
 * job is paid, so that a rule raises the price before it raises the limit.
 */
import type { FileTree } from '../../core/bundle.ts'
import { MecaError } from '../../core/errors.ts'
import { zResources } from '../../core/resources.ts'
import type { Budget } from './budget.ts'
import { globOf } from './glob.ts'
import type { Rule } from './model.ts'
import { checkPattern, patternOf } from './pattern.ts'

const MAX_MEMORY = zResources.shape.memoryBytes.maxValue ?? 0

/** What is wrong with a rule before any file is looked at. */
export function checkRule(rule: Rule): { field: string; what: string; cure: string } | undefined {
  try {
    checkPattern(rule.regex)
  } catch (error) {
    if (!(error instanceof MecaError)) throw error
    return { field: 'target_regex', what: `cannot be used: ${error.message}`, cure: error.cure ?? '' }
  }
  if (folderOf(rule.dir) === undefined)
    return { field: 'target_dir', what: 'leaves the channel', cure: 'name a folder below the channel' }
  return undefined
}

/** Bytes that the rule asks for over one channel; nothing where it finds nothing. Throws `bad_input`. */
export function memoryOf(rule: Rule, channel: string, files: FileTree, budget: Budget): number {
  const bytes = rule.factor * sizeOf(rule, channel, files, budget) ** rule.exponent
  if (bytes <= MAX_MEMORY) return Math.max(0, Math.ceil(bytes))
  throw new MecaError('bad_input', `The inputs of ${channel} ask for ${bytes} bytes of memory by its scale rule`, {
    cure: 'give fewer or smaller files',
  })
}

function sizeOf(rule: Rule, channel: string, files: FileTree, budget: Budget): number {
  const sums = new Map<string, number>()
  let largest = 0
  for (const [item, bytes] of matching(rule, channel, files, budget)) {
    sums.set(item, (sums.get(item) ?? 0) + bytes)
    largest = Math.max(largest, bytes)
  }
  if (rule.mode === 'max_file_size') return largest
  let most = 0
  for (const sum of sums.values()) most = Math.max(most, sum)
  return most
}

/** Each file that counts, with the item it belongs to; without items the whole channel is one. */
function* matching(
  rule: Rule,
  channel: string,
  files: FileTree,
  budget: Budget,
): Generator<[item: string, bytes: number]> {
  const [glob, regex] = [globOf(rule.glob, budget), patternOf(rule.regex, budget)]
  const below = folderOf(rule.dir) ?? ''
  const byItem = rule.mode === 'max_item_sum'
  for (const [path, { bytes }] of files) {
    budget.spend(1)
    if (!path.startsWith(`${channel}/`)) continue
    const inChannel = path.slice(channel.length + 1)
    const slash = byItem ? inChannel.indexOf('/') : -1
    if (byItem && slash < 0) continue
    const inBase = inChannel.slice(slash + 1)
    if (!inBase.startsWith(below)) continue
    const relative = inBase.slice(below.length)
    if (glob(relative) && regex.matches(relative)) yield [byItem ? inChannel.slice(0, slash) : '', bytes]
  }
}

/** `a/./b` → `a/b/`, the channel itself → ``; undefined for what leaves it. */
function folderOf(dir: string): string | undefined {
  const parts = dir.split('/').filter((part) => part !== '' && part !== '.')
  if (dir.startsWith('/') || parts.includes('..')) return undefined
  return parts.length === 0 ? '' : `${parts.join('/')}/`
}

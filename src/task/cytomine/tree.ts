/**
 * Files as a tree, and texts out of their heads. A parameter is one entry of the tree; the same walk judges an input
 * folder that the caller gave and an output folder that the task left.
 */
import type { FileFacts, FileTree } from '../../core/bundle.ts'

export type Entry = { file?: FileFacts; children: Map<string, Entry> }

/** `folders` are those that may hold nothing. */
export function treeOf(files: FileTree, folders: Iterable<string> = []): Entry {
  const root: Entry = { children: new Map() }
  for (const path of folders) entryAt(root, path)
  for (const [path, file] of files) entryAt(root, path).file = file
  return root
}

function entryAt(root: Entry, path: string): Entry {
  let entry = root
  for (const name of path.split('/')) {
    const next = entry.children.get(name) ?? { children: new Map<string, Entry>() }
    entry.children.set(name, next)
    entry = next
  }
  return entry
}

/** Every file of an entry, with its path below it; empty for the entry itself. */
export function filesOf(entry: Entry, below = ''): { path: string; file: FileFacts }[] {
  const own = entry.file === undefined ? [] : [{ path: below, file: entry.file }]
  return [...own, ...[...entry.children].flatMap(([name, child]) => filesOf(child, join(below, name)))]
}

function join(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`
}

/** `whole` is false where the file is longer than its head. Undefined where the bytes are not UTF-8. */
export function textOf({ bytes, head }: FileFacts): { text: string; whole: boolean } | undefined {
  const whole = head.byteLength >= bytes
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(head, { stream: !whole }), whole }
  } catch {
    return undefined // the only error there is: not UTF-8
  }
}

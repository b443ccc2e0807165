/** Where a bundle's image is: an archive in the order that published bundles need, or a Dockerfile to build it from. */
import type { Finding, Folder, ImageOrigin } from '../format.ts'
import type { Task } from './descriptor.ts'

const DOCKERFILE = 'Dockerfile'

/** `configuration.image.file` → `NAMESPACE-VERSION.tar` → `image.tar` → the only archive there is → a Dockerfile. */
export function findImage(folder: Folder, task: Task | undefined): ImageOrigin | Finding {
  const paths = [...folder.files.keys()]
  const archives = paths.filter((path) => !path.includes('/') && path.endsWith('.tar'))
  const named = namesOf(task).find((name) => folder.files.has(name))
  const path = named ?? (archives.length === 1 ? archives[0] : undefined)
  if (path !== undefined) return { kind: 'archive', path }
  if (folder.files.has(DOCKERFILE)) return { kind: 'build', context: paths }
  return {
    level: 'error',
    where: '.',
    what:
      archives.length === 0
        ? 'has no image'
        : `has ${archives.length} archives and none of the expected name: ${archives.slice(0, 5).join(', ')}`,
    cure: `add a Dockerfile, or run: docker save --output ${namesOf(task)[0] ?? 'image.tar'} IMAGE`,
  }
}

function namesOf(task: Task | undefined): string[] {
  if (task === undefined) return ['image.tar']
  const declared = task.imageFile === undefined ? [] : [task.imageFile.replace(/^\/+/, '')]
  return [...declared, `${task.namespace}-${task.version}.tar`, 'image.tar']
}

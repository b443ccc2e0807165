/**
 * Containers that could not be removed because the engine was away: a crashed engine comes back with them. Tried again
 * until it does, so that a host need not be restarted to be rid of them; what is left even then carries our label and is
 * swept at the next start.
 */
import type { Container } from 'dockerode'
import { call, statusOf } from './client.ts'

const EVERY_MS = 2_000
/** An hour: an engine that is away for longer is mended by somebody who restarts the host, too. */
const MAX_TRIES = 1_800

export function removeLater(container: Container, tries = MAX_TRIES): void {
  setTimeout(() => {
    void remove(container).then((removed) => {
      if (!removed && tries > 1) removeLater(container, tries - 1)
    })
  }, EVERY_MS).unref()
}

async function remove(container: Container): Promise<boolean> {
  try {
    await call('remove a container', (abortSignal) =>
      container.remove({ force: true, v: true, abortSignal }).catch((error: unknown) => {
        if (statusOf(error) !== 404) throw error
      }),
    )
    return true
  } catch {
    return false // still away, or busy with its own recovery
  }
}

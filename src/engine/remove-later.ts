/**
 * Containers and volumes that could not be removed because the engine was away: a crashed engine comes back with them. Tried
 * again until it does, so that a host need not be restarted to be rid of them; what is left even then carries our label and
 * is swept at the next start.
 */
import type { Container, Volume } from 'dockerode'
import { call, statusOf } from './client.ts'

const EVERY_MS = 2_000
/** An hour: an engine that is away for longer is mended by somebody who restarts the host, too. */
const MAX_TRIES = 1_800

export function removeLater(container: Container): void {
  later('remove a container', (abortSignal) => container.remove({ force: true, v: true, abortSignal }))
}

/** A volume is refused while the container that has it mounted is still there. */
export function removeVolumeLater(volume: Volume): void {
  later('remove a volume', (abortSignal) => volume.remove({ force: true, abortSignal }))
}

type Removal = (abortSignal: AbortSignal) => Promise<unknown>

function later(what: string, remove: Removal, tries = MAX_TRIES): void {
  setTimeout(() => {
    void isRemoved(what, remove).then((removed) => {
      if (!removed && tries > 1) later(what, remove, tries - 1)
    })
  }, EVERY_MS).unref()
}

async function isRemoved(what: string, remove: Removal): Promise<boolean> {
  try {
    await call(what, (abortSignal) =>
      remove(abortSignal).catch((error: unknown) => {
        if (statusOf(error) !== 404) throw error
      }),
    )
    return true
  } catch {
    return false // still away, or busy with its own recovery
  }
}

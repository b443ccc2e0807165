/** A process that opens a home with its store, says `open` or the code of its error, and stays until stdin ends. */
import { once } from 'node:events'
import { asMecaError } from '../../src/core/errors.ts'
import { closeWorld, openWorld } from './support.ts'

const [folder = ''] = process.argv.slice(2)
try {
  const world = await openWorld(folder)
  console.log('open')
  await once(process.stdin.resume(), 'end')
  await closeWorld(world)
} catch (error) {
  console.log(asMecaError(error).code)
}

import { startHelia } from '../support/ipfs.ts'
import { ipfsSuite } from './suite.ts'

ipfsSuite('Helia', false, async (t) => (await startHelia(t)).ipfs)

/** A host without room on its disk for a large output: that job is the host's failure, and the host goes on. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { MecaError } from '../../src/core/errors.ts'
import { heard, openParties, signal } from './parties.ts'
import type { Parties, Party } from './parties.ts'
import type { Published } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const LARGE_BYTES = 200_000

describe('a host whose disk is full', { skip }, () => {
  let parties: Parties
  let host: Party
  let client: Party
  let task: Published

  before(async () => {
    parties = await openParties()
    host = await parties.open('host', 3, { host: true })
    client = await parties.open('client', 5, { meets: host })
    task = await parties.stage.publish('large', [host.base, client.base])
    await heard(client, host)
  })
  after(() => parties.close())

  test('ends a job with a large output as its own failure, charges nothing, and runs the next one', async () => {
    parties.fake.answer = (body) =>
      Promise.resolve({ status: 200, contentType: 'text/plain', body: Buffer.alloc(body.length > 1 ? LARGE_BYTES : 1) })
    const { blobs } = host.base
    const write = blobs.write.bind(blobs)
    blobs.write = () => Promise.reject(new MecaError('disk_full', '3 MiB are free'))
    const ran = (id: string, input: string) =>
      client.api.run(task.cid, Buffer.from(input), { id, maxSeconds: 20 }, () => undefined, signal)
    const { status, problem, price } = await ran('large', 'large')
    assert.deepEqual([status, problem?.code, price.host, price.developer], ['host_failed', 'disk_full', '0', '0'])
    assert.equal((await ran('small', 's')).status, 'answered')
    blobs.write = write
    assert.equal((await ran('large-again', 'large')).outputBytes, LARGE_BYTES)
  })
})

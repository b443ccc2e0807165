/**
 * A job that is asked for again by its id: after a restart in the middle of sending its input, and by a second caller while
 * its output still comes. It runs once, is billed once, and every caller is told.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { hostJobKey } from '../../src/core/records.ts'
import type { OnProgress } from '../../src/role/api-common.ts'
import { eventually } from '../support/eventually.ts'
import { heard, openParties, signal } from './parties.ts'
import type { Parties, Party } from './parties.ts'
import type { Published } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const LARGE_BYTES = 24 * 2 ** 20

describe('a job that is asked for again', { skip }, () => {
  let parties: Parties
  let host: Party
  let client: Party
  let task: Published

  before(async () => {
    parties = await openParties()
    host = await parties.open('host', 3, { host: true })
    client = await parties.open('client', 5, { meets: host })
    task = await parties.stage.publish('echo', [host.base, client.base])
    await heard(client, host)
  })
  after(() => parties.close())

  const run = (id: string, input: Uint8Array, onProgress: OnProgress = () => undefined) =>
    client.api.run(task.cid, input, { id, maxSeconds: 60 }, onProgress, signal)

  async function restart(): Promise<void> {
    await client.close()
    client = await parties.open('client', 5, { meets: host })
    await heard(client, host)
  }

  const billed = ({ client: { book }, side }: Party, isHost: boolean) =>
    [...((isHost ? side?.book : book)?.channels.keys() ?? [])]
      .flatMap((id) => (isHost ? side?.book : book)?.rowsOf(id) ?? [])
      .reduce((all, row) => all + row.billed.hostAmount + row.billed.developerAmount, 0n)

  test('after its client was restarted while it sent the input: the rest of it is sent', async () => {
    const input = randomBytes(LARGE_BYTES)
    const isUnderWay = Promise.withResolvers<void>()
    const first = run('cut-off', input, (told) => {
      if (told.kind === 'bytes' && told.step === 'send') isUnderWay.resolve()
    })
    first.catch(() => undefined)
    await isUnderWay.promise
    await restart()
    await assert.rejects(first)
    const waiting = host.side?.host.jobs.live.get(hostJobKey(client.address, 'cut-off'))
    assert.ok(waiting, 'the host waits for the rest')
    const { status } = await run('cut-off', input)
    assert.equal(status, 'answered')
    assert.equal(parties.fake.requests, 1)
    assert.equal(billed(client, false), billed(host, true))
  })

  test('by a second caller while its output comes: it is taken once and told to both', async () => {
    const output = randomBytes(LARGE_BYTES)
    parties.fake.answer = (body) =>
      Promise.resolve({ status: 200, contentType: 'text/plain', body: body.length === 1 ? output : body })
    const goOn = Promise.withResolvers<void>()
    const { blobs } = host.base
    const read = blobs.read.bind(blobs)
    let reads = 0
    blobs.read = async function* (hash, options) {
      reads++
      await goOn.promise
      yield* read(hash, options)
    }
    const first = run('twice', Buffer.from('x'))
    await eventually('the output is read', () => reads === 1)
    const session = client.client.client.session([...client.client.book.channels.values()].at(-1) ?? assert.fail())
    const record = client.base.tables.clientJobs.getSync('twice')
    assert.ok(record)
    const second = session.attach(record, { bytes: Buffer.from('x') }, () => undefined)
    // A host answers in turn, so before this answer comes the result once more; and it waits for no output.
    assert.equal((await run('between', Buffer.from('small'))).status, 'answered')
    goOn.resolve()
    assert.equal((await second).job.state, 'done')
    assert.equal((await first).status, 'answered')
    assert.equal(reads, 1)
    assert.equal(billed(client, false), billed(host, true))
  })
})

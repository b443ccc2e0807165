/** `npm run bench -- flood`: more than 1,000 forged vouchers a second against a host that serves an honest client, for 15 s. */
import { describeFlood, flood } from '../role/flood.ts'

const SECONDS = 15
const GOAL_MS = 50
const GOAL_PER_SECOND = 1_000
/** A little more than the goal: what is owed when the time is over is not sent any more. */
const PER_SECOND = 1_100

const result = await flood(SECONDS, PER_SECOND)
process.stdout.write(`${describeFlood(result)}\n`)
process.stdout.write(`goal: event loop p99 below ${GOAL_MS} ms: ${result.loop.p99Ms < GOAL_MS ? 'met' : 'missed'}\n`)
const perSecond = Math.round(result.flooder.vouchers / SECONDS)
process.stdout.write(`goal: ${GOAL_PER_SECOND} vouchers a second: ${perSecond >= GOAL_PER_SECOND ? 'met' : 'missed'}\n`)
const kept = result.flooder.thrownOut > 0 && result.honest.answered === result.honest.sent
process.exit(kept ? 0 : 1)

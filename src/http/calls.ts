/** Every call of the API that takes and answers JSON. */
import { clientCalls } from './client-calls.ts'
import { developerCalls } from './developer-calls.ts'
import { hostCalls } from './host-calls.ts'
import { moneyCalls } from './money-calls.ts'

export const CALLS = { ...hostCalls, ...developerCalls, ...clientCalls, ...moneyCalls }

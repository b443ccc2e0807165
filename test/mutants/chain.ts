/** Defences against a chain that goes back and an endpoint that lies. */
import type { Mutant } from './table.ts'

const RECOVER = ['test/role/recover.test.ts']
const LYING = ['test/chaos/lying.test.ts']
const TROUBLES = ['test/chaos/troubles.test.ts']
const REORG = ['test/chaos/reorg.test.ts']
const FEES = ['test/chain/fees.test.ts']
const CODEC = ['test/chain/codec.test.ts']
const WALLET = ['test/chain/wallet.test.ts']

export const CHAIN_MUTANTS: readonly Mutant[] = [
  {
    name: 'a transaction is sent before it is written down',
    file: 'src/chain/wallet.ts',
    from: "    await this.#intents.put(intent)\n    failpoint('chain.intent-written')",
    to: "    failpoint('chain.intent-written')\n    await this.#intents.put(intent)",
    tests: ['test/chain/wallet.test.ts'],
  },
  {
    name: 'one confirmation is as good as many',
    file: 'src/chain/wallet.ts',
    from: 'standingOf(this.chain, intent, confirmations, signal)',
    to: 'standingOf(this.chain, intent, Math.min(1, confirmations), signal)',
    tests: ['test/chain/wallet.test.ts'],
    only: 'confirmations',
  },
  {
    name: 'outputs go before their client has them',
    file: 'src/wiring/janitor.ts',
    from: 'acknowledgedAt === undefined ? now - endedAt < KEPT_UNASKED_MS',
    to: 'acknowledgedAt === undefined ? now - endedAt < KEPT_AFTER_ACK_MS',
    tests: ['test/wiring/janitor.test.ts'],
  },
  {
    name: 'lost records: a client does not look for its channels',
    file: 'src/wiring/recover-side.ts',
    from: '  if (book.channels.size > 0) return\n',
    to: '  return\n',
    tests: RECOVER,
  },
  {
    name: 'chain: a receipt is believed whatever block it names',
    file: 'src/chain/standing.ts',
    from: '  return (await chain.block(signal, receipt.blockNumber)).hash === receipt.blockHash\n',
    to: '  return true\n',
    tests: LYING,
    only: 'forged receipt: block hash',
  },
  {
    name: 'chain: a receipt of another transaction counts',
    file: 'src/chain/chain.ts',
    from: 'transactionHash.toLowerCase() === hash)',
    to: "transactionHash !== '0x')",
    tests: LYING,
    only: 'forged receipt: another transaction',
  },
  {
    name: 'chain: no cap on what gas may cost',
    file: 'src/chain/fees.ts',
    from: '  if (asked > cap) throw tooDear(asked, cap)\n',
    to: '',
    tests: TROUBLES,
    only: 'base fee is over the cap',
  },
  {
    name: 'chain: a fee rise goes over the cap',
    file: 'src/chain/fees.ts',
    from: '  if (most > cap) return undefined\n',
    to: '',
    tests: FEES,
  },
  {
    name: 'chain: absurd gas estimates are paid for',
    file: 'src/chain/chain.ts',
    from: 'n >= MIN_TX_GAS && n <= MAX_TX_GAS',
    to: 'n >= 0n',
    tests: WALLET,
    only: 'estimate of more gas',
  },
  {
    name: 'chain: the next transaction does not compete with one that an endpoint refused',
    file: 'src/chain/wallet.ts',
    from: "transactionCount(this.address, 'latest', signal)",
    to: "transactionCount(this.address, 'pending', signal)",
    tests: WALLET,
    only: 'said to be refused',
  },
  {
    name: 'chain: a transaction with too high a number is not called off',
    file: 'src/chain/wallet.ts',
    from: '      if (now - gapSince > gapMs) return this.#callOff(intent, signal)\n',
    to: '      if (now - gapSince > gapMs) return this.#ended(intent, found)\n',
    tests: TROUBLES,
    only: 'called off',
  },
  {
    name: 'chain: answers may hold more than the contract gives',
    file: 'src/chain/codec.ts',
    from: '!== data.toLowerCase())',
    to: "=== '')",
    tests: CODEC,
  },
  {
    name: 'chain: another chain at the same address is not noticed',
    file: 'src/chain/chain.ts',
    from: '    if (found !== chainId) throw',
    to: '    if (found < 0) throw',
    tests: LYING,
    only: 'other chain id',
  },
  {
    name: 'chain: other code at a contract’s address is not noticed',
    file: 'src/chain/chain.ts',
    from: '    if (code !== before) throw',
    to: "    if (code === '') throw",
    tests: LYING,
    only: 'wrong contract code',
  },
  {
    name: 'chain: the second endpoint is not asked',
    file: 'src/wiring/deposits.ts',
    from: 'const others = witness === undefined ? []',
    to: 'const others = witness !== null ? []',
    tests: LYING,
    only: 'deposit forged',
  },
  {
    name: 'chain: payouts that a reorganisation undid count',
    file: 'src/wiring/payouts.ts',
    from: '!(await isThere(chain, tx, signal))) continue',
    to: '!tx) continue',
    tests: REORG,
    only: 'withdrawal of the host',
  },
]

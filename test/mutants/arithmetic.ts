/** Defences of the arithmetic of money, and of what is shown of it. */
import type { Mutant } from './table.ts'

const LEDGER = ['test/core/ledger.test.ts', 'test/core/ledger.interleavings.test.ts']
const RECEIPT = ['test/core/receipt.test.ts']
const MONEY = ['test/cli/money.test.ts']

export const ARITHMETIC_MUTANTS: readonly Mutant[] = [
  {
    name: 'work that nobody vouched for',
    file: 'src/core/ledger.ts',
    from: 'if (!covers(balance, need)) {',
    to: 'if (balance.jobs < -1000) {',
    tests: LEDGER,
  },
  {
    name: 'the price of a job under way is not held',
    file: 'src/core/ledger.ts',
    from: 'return { ...row, reserved: plus(row.reserved, asTotals(price)) }',
    to: 'return { ...row, reserved: plus(row.reserved, minus(asTotals(price), asTotals(price))) }',
    tests: LEDGER,
  },
  {
    name: 'a lower voucher replaces a higher one',
    file: 'src/core/ledger.ts',
    from: '  if (covers(row.vouched, voucher)) return row\n  if (!covers(voucher, row.vouched)) {',
    to: '  if (equal(row.vouched, voucher)) return row\n  if (voucher.jobs < 0) {',
    tests: LEDGER,
  },
  {
    name: 'the client takes back what it has signed',
    file: 'src/core/ledger.ts',
    from: 'const next = highest(row.vouched, plus(',
    to: 'const next = highest(row.billed, plus(',
    tests: LEDGER,
  },
  {
    name: 'vouchers that the contract would skip',
    file: 'src/core/ledger.ts',
    from: '  if (voucher.developerAmount >= due) return\n',
    to: '  if (voucher.developerAmount >= 0n * due) return\n',
    tests: LEDGER,
  },
  {
    name: 'billed over the quote',
    file: 'src/core/receipt.ts',
    from: 'hostAmount > (free ? 0n : price.hostAmount) ||',
    to: '(free && hostAmount > 0n) ||',
    tests: RECEIPT,
  },
  {
    name: 'billed for the host’s own failure',
    file: 'src/core/receipt.ts',
    from: 'hostAmount > (free ? 0n : price.hostAmount) ||',
    to: 'hostAmount > price.hostAmount ||',
    tests: RECEIPT,
  },
  {
    name: 'a fee without an answer',
    file: 'src/core/receipt.ts',
    from: 'developerAmount !== (withFee ? price.developerAmount : 0n)',
    to: 'developerAmount > price.developerAmount',
    tests: RECEIPT,
  },
  {
    name: 'earnings: a cell may begin a formula',
    file: 'src/cli/csv.ts',
    from: "const safe = isFormula(text) ? `'${text}` : text",
    to: 'const safe = text',
    tests: MONEY,
  },
  {
    name: 'an export replaces the copy that still holds the money',
    file: 'src/cli/vouchers.ts',
    from: "await open(path, 'wx', 0o600)",
    to: "await open(path, 'w', 0o600)",
    tests: MONEY,
  },
]

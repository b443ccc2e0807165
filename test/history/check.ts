/**
 * The one judge of a market's history: what must hold whatever was killed, cut, filled or lied about meanwhile. Pure, so
 * that it can itself be tried with histories that are wrong. Every rule gives its findings, with the numbers.
 */
import { covers, equal, plus, sum, totalsToWire, ZERO } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import type { Bill, Ended, History, Line, Party } from './history.ts'

export type Finding = { rule: Rule; about: string; what: string }

type Judge = (history: History) => Omit<Finding, 'rule'>[]

const RULES = {
  /** What was billed is what the end allows, and only for jobs that somebody asked for. */
  'charged iff answered': chargedIffAnswered,
  /** A job id has one receipt, wherever it is written down and however often. */
  'one receipt per job': oneReceipt,
  'numbers never fall': neverFall,
  /** What a node has once said stands in its book, whatever happened to it since. */
  'nothing acknowledged is missing': nothingMissing,
  'vouched ≥ billed ≥ claimed': inOrder,
  /** A row says what its receipts add up to. */
  'receipts add up to the bill': receiptsAddUp,
  /** A host can hold nothing that its client did not sign. */
  'vouchers are the client’s': signedByClient,
  'both books agree': booksAgree,
  'the chain paid what was claimed': chainAgrees,
  'deposit = claimed + refunded + left': depositsAddUp,
  'credited = withdrawn + left': creditsAddUp,
  /** What a caller was told is in the books of both sides, and the bytes are those of the receipt. */
  'no result lost': resultsKept,
  /** Every job came to an end that its caller knows. */
  'no job without an end': everyJobEnds,
} satisfies Record<string, Judge>

export type Rule = keyof typeof RULES

export function checkHistory(history: History): Finding[] {
  return (Object.entries(RULES) as [Rule, Judge][]).flatMap(([rule, judge]) =>
    judge(history).map((finding) => ({ rule, ...finding })),
  )
}

function chargedIffAnswered({ asked, ended }: History) {
  const known = new Map(asked.map((one) => [`${one.client}/${one.job}`, one]))
  return ended.flatMap((end) => {
    const ask = known.get(jobOf(end))
    if (ask === undefined) return [found(nameOf(end), 'was charged and nobody asked for it')]
    if (ask.inputHash !== end.bill.inputHash)
      return [found(nameOf(end), `ran on ${end.bill.inputHash}, asked was ${ask.inputHash}`)]
    if (ask.task !== end.task) return [found(nameOf(end), `ran task ${end.task}, asked was ${ask.task}`)]
    return wrongBill(end.bill).map((what) => found(nameOf(end), what))
  })
}

function wrongBill({ status, agreed, host, developer }: Bill): string[] {
  const most = status === 'host_failed' ? 0n : agreed.host
  const fee = status === 'answered' ? agreed.developer : 0n
  const least = status === 'answered' && agreed.host > 0n ? 1n : 0n
  return [
    ...(host > most ? [`is ${status} and billed ${host} for the host, at most ${most} may be`] : []),
    ...(host < least ? [`is ${status} and billed nothing for the host`] : []),
    ...(developer !== fee ? [`is ${status} and billed ${developer} for the developer, it must be ${fee}`] : []),
  ]
}

function oneReceipt({ ended }: History) {
  return [...Map.groupBy(ended, jobOf)].flatMap(([job, ends]) => {
    const digests = new Set(ends.map(({ bill }) => bill.digest))
    return digests.size === 1 ? [] : [found(`job ${job}`, `has ${digests.size} different receipts`)]
  })
}

const CUMULATIVE = ['vouched', 'billed', 'claimed', 'exact'] as const

function neverFall({ lines, shown }: History) {
  return [...Map.groupBy(lines, rowOf), ...Map.groupBy(shown, rowOf)].flatMap(([row, seen]) =>
    CUMULATIVE.flatMap((name) => {
      let highest = ZERO
      return seen.flatMap((line) => {
        const now = line[name] ?? highest
        const fell = !covers(now, highest)
        const before = highest
        highest = fell ? highest : now
        return fell ? [found(row, `${name} fell from ${text(before)} to ${text(now)}`)] : []
      })
    }),
  )
}

function nothingMissing({ lines, shown }: History) {
  const last = lastLines(lines)
  return shown.flatMap((line) =>
    (['vouched', 'billed', 'claimed'] as const).flatMap((name) => {
      const kept = last.get(rowOf(line))?.[name] ?? ZERO
      return covers(kept, line[name])
        ? []
        : [found(rowOf(line), `${name} was said to be ${text(line[name])}, the book has ${text(kept)}`)]
    }),
  )
}

function inOrder({ lines, shown }: History) {
  return [...lines, ...shown].flatMap((line) => [
    ...below(line, 'billed', line.billed, 'vouched', line.vouched),
    ...below(line, 'claimed', line.claimed, 'billed', line.billed),
    ...(line.exact === undefined ? [] : below(line, 'the exact voucher', line.exact, 'billed', line.billed)),
  ])
}

function below(line: Line, lower: string, low: Totals, higher: string, high: Totals) {
  return covers(high, low) ? [] : [found(rowOf(line), `${lower} is ${text(low)}, ${higher} only ${text(high)}`)]
}

function receiptsAddUp({ lines, ended }: History) {
  const sums = new Map<string, Totals>()
  // A record that was written twice is one receipt.
  for (const end of new Map(ended.map((one) => [`${rowOf(one)} ${one.job}`, one])).values())
    sums.set(rowOf(end), plus(sums.get(rowOf(end)) ?? ZERO, totalsOf(end.bill)))
  const rows = lastLines(lines)
  const named = [...rows].flatMap(([row, { billed }]) => {
    const receipts = sums.get(row) ?? ZERO
    return equal(billed, receipts) ? [] : [found(row, `billed is ${text(billed)}, its receipts say ${text(receipts)}`)]
  })
  const homeless = [...sums].filter(([row, receipts]) => !rows.has(row) && sum(receipts) > 0n)
  return [...named, ...homeless.map(([row, receipts]) => found(row, `has receipts over ${text(receipts)} and no row`))]
}

function signedByClient({ lines }: History) {
  return hostLines(lines).flatMap(([row, host, client]) => {
    if (client === undefined)
      return [found(row, `is held by the host, ${text(host.vouched)}, and unknown to its client`)]
    return below(host, 'vouched at the host', host.vouched, 'at the client', client.vouched)
  })
}

function booksAgree({ lines, settled }: History) {
  if (!settled) return []
  return hostLines(lines).flatMap(([row, host, client]) =>
    client === undefined || equal(host.billed, client.billed)
      ? []
      : [found(row, `billed is ${text(host.billed)} at the host, ${text(client.billed)} at the client`)],
  )
}

function chainAgrees({ chain, lines, settled }: History) {
  const lanes = new Map(chain.lanes.map((lane) => [`${lane.channel}/${lane.task}`, lane.claimed]))
  const ofLanes = [...lanes].flatMap(([lane, claimed]) => {
    const own = chain.claims.filter((claim) => `${claim.channel}/${claim.task}` === lane)
    const [host, developer] = [own.map((c) => c.host).reduce(add, 0n), own.map((c) => c.developer).reduce(add, 0n)]
    return host === claimed.hostAmount && developer === claimed.developerAmount
      ? []
      : [found(`lane ${lane}`, `says ${text(claimed)}, its claims paid ${host} + ${developer}`)]
  })
  const ofRows = [...lastLines(lines)].flatMap(([row, line]) => {
    const paid = lanes.get(`${line.channel}/${line.task}`) ?? ZERO
    if (line.by.side === 'host' && (settled ? !equal(paid, line.claimed) : !covers(paid, line.claimed)))
      return [found(row, `claimed is ${text(line.claimed)}, the chain paid ${text(paid)}`)]
    if (settled && line.by.side === 'host' && !equal(paid, line.billed))
      return [found(row, `billed is ${text(line.billed)}, the chain paid ${text(paid)} in the end`)]
    return covers(line.vouched, paid)
      ? []
      : [found(row, `the chain paid ${text(paid)}, vouched was ${text(line.vouched)}`)]
  })
  return [...ofLanes, ...ofRows]
}

function depositsAddUp({ chain, settled }: History) {
  const each = chain.channels.flatMap(({ channel, deposits, claimed, refunded }) => {
    const deposit = deposits.reduce(add, 0n)
    const paid = chain.claims.filter((c) => c.channel === channel).reduce((all, c) => all + c.host + c.developer, 0n)
    const about = `channel ${channel}`
    return [
      ...(paid === claimed ? [] : [found(about, `says that ${claimed} was claimed, its claims paid ${paid}`)]),
      ...(claimed > deposit ? [found(about, `paid ${claimed} out of ${deposit}`)] : []),
      ...(refunded !== undefined && claimed + refunded !== deposit
        ? [found(about, `deposit ${deposit} ≠ claimed ${claimed} + refunded ${refunded}`)]
        : []),
      ...(settled && refunded === undefined
        ? [found(about, `was not finished; ${deposit - claimed} is left in it`)]
        : []),
    ]
  })
  return each
}

function creditsAddUp({ chain, settled }: History) {
  const credited = chain.claims.reduce((all, { host, developer }) => all + host + developer, 0n)
  const left = chain.channels.reduce(
    (all, c) => all + (c.refunded === undefined ? c.deposits.reduce(add, 0n) - c.claimed : 0n),
    0n,
  )
  const { withdrawn, credit, balance } = chain
  return [
    ...(credited === withdrawn + credit
      ? []
      : [found('the contract', `credited ${credited} ≠ withdrawn ${withdrawn} + left ${credit}`)]),
    ...(balance === credit + left
      ? []
      : [found('the contract', `owns ${balance}, owes ${credit} in credit and ${left} in channels`)]),
    ...(settled && credit > 0n ? [found('the contract', `${credit} was credited and not withdrawn`)] : []),
  ]
}

function resultsKept({ told, ended }: History) {
  const books = Map.groupBy(ended, jobOf)
  return told.flatMap(({ client, job, digest, outputHash, bytesHash }) => {
    const ends = books.get(`${client}/${job}`) ?? []
    const about = `job ${client}/${job}`
    const missing = (['client', 'host'] as const).filter(
      (side) => !ends.some(({ by, bill: kept }) => by.side === side && kept.digest === digest),
    )
    return [
      ...missing.map((side) => found(about, `its caller has a receipt that the ${side} has not written down`)),
      ...(bytesHash !== undefined && bytesHash !== outputHash
        ? [found(about, `its caller got bytes that hash to ${bytesHash}, the receipt says ${outputHash}`)]
        : []),
    ]
  })
}

function everyJobEnds({ asked, told, refused, ended, settled }: History) {
  const ends = new Map<string, Set<string>>()
  for (const one of told) ends.set(jobOf(one), (ends.get(jobOf(one)) ?? new Set()).add('an answer'))
  for (const one of refused) ends.set(jobOf(one), (ends.get(jobOf(one)) ?? new Set()).add('a refusal'))
  const unknown = asked.filter((one) => settled && !ends.has(jobOf(one)))
  const charged = new Set(ended.filter(({ bill }) => sum(totalsOf(bill)) > 0n).map(jobOf))
  return [
    ...unknown.map((one) => found(nameOf(one), 'has no end that its caller knows')),
    ...refused
      .filter((one) => charged.has(jobOf(one)))
      .map((one) => found(nameOf(one), `was refused (${one.code}) and charged`)),
  ]
}

/** The last line of each row of a host, with its client's. */
function hostLines(lines: readonly Line[]): [row: string, host: Line, client: Line | undefined][] {
  const last = [...lastLines(lines)]
  return last
    .filter(([, { by }]) => by.side === 'host')
    .map(([row, host]) => [
      row,
      host,
      last.find(([, l]) => l.by.side === 'client' && l.channel === host.channel && l.task === host.task)?.[1],
    ])
}

function lastLines(lines: readonly Line[]): Map<string, Line> {
  return new Map(lines.map((line) => [rowOf(line), line]))
}

function rowOf({ by, channel, task }: { by: Party; channel: string; task: string }): string {
  return `${by.side} ${by.who}, channel ${channel}, task ${task}`
}

function jobOf({ client, job }: { client: string; job: string }): string {
  return `${client}/${job}`
}

function nameOf(one: { client: string; job: string } & Partial<Pick<Ended, 'by'>>): string {
  return `job ${jobOf(one)}${one.by === undefined ? '' : ` at the ${one.by.side} ${one.by.who}`}`
}

function totalsOf({ status, host, developer }: Bill): Totals {
  return { jobs: status === 'answered' ? 1 : 0, hostAmount: host, developerAmount: developer }
}

function text(totals: Totals): string {
  const { jobs, hostAmount, developerAmount } = totalsToWire(totals)
  return `${hostAmount} + ${developerAmount} (${jobs} jobs)`
}

function add(a: bigint, b: bigint): bigint {
  return a + b
}

function found(about: string, what: string): Omit<Finding, 'rule'> {
  return { about, what }
}

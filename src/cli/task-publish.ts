/** `meca task publish`: from a folder to a task that everybody can run. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { parseAddress } from '../core/units.ts'
import type { PublishOptions } from '../role/api-developer.ts'
import { AMOUNT_HELP } from '../core/money.ts'
import { currencyOf, money, readAmount, tokenNamed } from './amounts.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { imageOf, placeOf } from './input.ts'
import { facts, size } from './render.ts'
import { collect, examples, pairsOf } from './usage.ts'
import type { Act } from './usage.ts'

type PublishFlags = {
  fee: string
  token?: string
  name?: string
  version?: string
  format?: string
  image?: string
  payee?: string
  determinism?: 'exact' | 'none'
  buildArg?: string[]
  test: boolean
}

export function addPublish(task: Command, act: Act): void {
  const publish = task
    .command('publish <dir>')
    .description('build, pack, put on IPFS and register a task')
    .requiredOption('--fee <amount>', `what you earn for each run: ${AMOUNT_HELP}`)
    .option('--token <token>', 'what the task is paid in, by symbol or address; the market’s own where absent')
    .option('--name <name>', "instead of the folder's own name")
    .option('--version <version>', 'of this package, like 1.2.0')
    .option('--format <format>', 'where the folder fits several')
    .option('--image <image>', 'an archive or an image of the local engine, instead of what the folder would give')
    .option('--payee <address>', 'who gets the fee; you where absent')
    .addOption(
      new Option('--determinism <kind>', 'exact: the same input gives the same bytes').choices(['exact', 'none']),
    )
    .option('--build-arg <name=value>', 'for the Dockerfile (repeatable)', collect)
    .option('--no-test', 'do not run the example first')
    .action(act(publishTask))
  examples(publish, [
    ['meca task publish words --fee 1000', 'a thousand of the smallest unit a run'],
    ['meca task publish words --fee 0.0001ETH --version 1.1.0', 'a new version; unchanged layers cost nothing'],
    ['meca task publish words --fee 0.02MUSD --token MUSD', 'paid in a token, by hosts that take it'],
  ])
}

function publishTask(context: Context, dir: string, flags: PublishFlags): Promise<void> {
  return context.withApi(async (api) => {
    const tokens = await tokensOf(api)
    const token = flags.token === undefined ? undefined : tokenNamed(flags.token, tokens, '--token')
    const inToken = async () => (token === undefined ? (await api.info()).token : currencyOf(token, tokens))
    const fee = await readAmount(flags.fee, '--fee', inToken)
    const options: PublishOptions = {
      fee,
      ...(flags.format === undefined ? {} : { format: flags.format }),
      ...(flags.image === undefined ? {} : { image: imageOf(flags.image) }),
      ...(token === undefined ? {} : { token }),
      ...(flags.payee === undefined ? {} : { payee: parseAddress(flags.payee, '--payee') }),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.version === undefined ? {} : { version: flags.version }),
      ...(flags.determinism === undefined ? {} : { determinism: flags.determinism }),
      ...(flags.test ? {} : { skipTest: true }),
      buildArgs: pairsOf(flags.buildArg ?? [], '--build-arg'),
    }
    const done = await context.metered(({ onProgress }) =>
      api.developer.publish(placeOf(dir), options, onProgress, context.signal),
    )
    const ref = `${done.developer}/${done.name}`
    context.output.result({
      json: done,
      id: done.cid,
      text: facts([
        ['published', `${ref}@${done.version}`],
        ['cid', done.cid],
        ['fee', money(done.fee, done.token, tokens)],
        ['bytes', `${size(done.bytes)}, ${size(done.newBytes)} of them new`],
        ['transaction', `${done.tx} (${done.gas} gas)`],
      ]),
    })
    context.next(`quote ${ref}`)
  })
}

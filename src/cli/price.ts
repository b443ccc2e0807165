/** `meca host price`: what a job would cost here, by the running host or, before it was ever started, by its settings. */
import type { Command } from 'commander'
import { MecaError } from '../core/errors.ts'
import type { Resources } from '../core/resources.ts'
import { priceFor } from '../core/tariff.ts'
import { NATIVE, parseBytes } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { TokenInfo } from '../role/api-common.ts'
import { money } from './amounts.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { examples, wholeOf } from './usage.ts'
import type { Act } from './usage.ts'

type PriceFlags = { cpus: string; memory: string; gpus: string; seconds: string }
type Preview = { prices: { hostAmount: string; token: Hex }[]; tokens: TokenInfo[] }

/** Known without asking a chain. */
const COIN: TokenInfo = { address: NATIVE, symbol: 'ETH', decimals: 18 }

export function addPrice(host: Command, act: Act): void {
  const price = host
    .command('price')
    .description('what a job of these resources would cost here at most, without the developer’s fee')
    .option('--cpus <n>', 'cores, like 0.5', '1')
    .option('--memory <size>', 'like 512M', '512M')
    .option('--gpus <n>', 'whole ones', '0')
    .option('--seconds <n>', 'how long it may run', '60')
    .action(act(showPrice))
  examples(price, [
    ['meca host price --cpus 2 --memory 4G --seconds 600', 'ten minutes of two cores'],
    ['meca host price --config tariff.yml', 'what a tariff would mean, before the host is started with it'],
  ])
}

async function showPrice(context: Context, flags: PriceFlags): Promise<void> {
  const asked = {
    cpuMillis: wholeOf(String(Math.round(Number(flags.cpus) * 1000)), '--cpus (in thousandths)'),
    memoryBytes: parseBytes(flags.memory, '--memory'),
    gpus: wholeOf(flags.gpus, '--gpus', 1024),
  }
  const seconds = wholeOf(flags.seconds, '--seconds')
  const { prices, tokens } = (await ofHost(context, asked, seconds)) ?? (await ofSettings(context, asked, seconds))
  context.output.result({ json: prices, text: prices.map((p) => money(p.hostAmount, p.token, tokens)).join('\n') })
}

/** Undefined where no host runs. */
async function ofHost(context: Context, asked: Resources, seconds: number): Promise<Preview | undefined> {
  const node = await context.daemon()
  if (node === undefined) return undefined
  try {
    if (node.api.host === undefined) return undefined
    return { prices: await node.api.host.price(asked, seconds), tokens: await tokensOf(node.api) }
  } finally {
    await node.close()
  }
}

async function ofSettings(context: Context, asked: Resources, seconds: number): Promise<Preview> {
  const { config } = await context.settings()
  const { tariffs } = config.host
  if (tariffs.length === 0) {
    throw new MecaError('bad_config', 'host.tariffs is empty: this host has no price', {
      cure: 'set host.tariffs in the configuration; see config/default.yml',
    })
  }
  context.output.say('no host runs here; this is the price by the settings')
  const prices = tariffs.map((tariff) => {
    const { hostAmount, token } = priceFor(tariff, asked, seconds, 0n)
    return { hostAmount: hostAmount.toString(), token }
  })
  return { prices, tokens: [COIN] }
}

/** The settings of a market for play in a token, as its members read them. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { loadConfig } from '../../src/config.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { Currencies } from '../../src/role/currencies.ts'
import { inToken, newToken } from '../../src/wiring/devnet-token.ts'

const TOKEN: Hex = `0x${'aa'.repeat(20)}`
const PEOPLE: Hex[] = [`0x${'01'.repeat(20)}`, `0x${'02'.repeat(20)}`]
const ETH = { address: NATIVE, symbol: 'ETH', decimals: 18 }

for (const decimals of [0, 2, 6, 18])
  test(`a token with ${decimals} decimals: both currencies have a price and every cap`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'meca-token-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const token = { address: TOKEN, symbol: 'PLAY', decimals }
    const base = await readFile(new URL('../../config/devnet.yml', import.meta.url), 'utf8')
    const { host, client, ...rest } = parse(base, { intAsBigInt: true }) as { host: object; client: object }
    await writeFile(join(folder, 'meca.yml'), stringify({ ...rest, ...inToken(token, host, client) }))
    const { config } = loadConfig({ env: {}, cwd: folder, flags: { home: folder } })
    assert.deepEqual(
      config.host.tariffs.map((tariff) => tariff.token),
      [TOKEN, NATIVE],
    )
    assert.ok((config.host.tariffs[0]?.perJob ?? 0n) > 0n)
    const currencies = new Currencies([token, ETH])
    const { exposurePerClient, exposureTotal, claimThreshold } = config.host
    const { maxPrice = [], depositCap } = config.client
    for (const [name, amounts] of Object.entries({
      exposurePerClient,
      exposureTotal,
      claimThreshold,
      maxPrice,
      depositCap,
    }))
      assert.deepEqual(new Set(currencies.caps(name, amounts).keys()), new Set([TOKEN, NATIVE]), name)
    assert.equal(currencies.caps('maxPrice', maxPrice).get(TOKEN), 100n * 10n ** BigInt(decimals))
    const { supply, shares = [] } = newToken(token, PEOPLE)
    assert.equal(
      shares.reduce((all, { amount }) => all + amount, 0n),
      supply,
    )
  })

/** The calls that look at money or move it. */
import { z } from 'zod'
import { call } from './call.ts'
import * as money from './money-schemas.ts'
import { hash } from './values.ts'

const ofChannel = z.strictObject({ channel: hash })

export const moneyCalls = {
  wallet: call({
    id: 'wallet',
    method: 'GET',
    path: '/v1/wallet',
    summary: "This node's address and balances",
    answer: money.walletInfo,
    run: (api, _args, { signal }) => api.money.wallet(signal),
  }),
  listChannels: call({
    id: 'listChannels',
    method: 'GET',
    path: '/v1/channels',
    summary: 'Channels of this node, as client and as host',
    answer: z.array(money.channelSummary),
    run: (api, _args, { signal }) => api.money.channels(signal),
  }),
  openChannel: call({
    id: 'openChannel',
    method: 'POST',
    path: '/v1/channels',
    summary: 'Locks money for one host',
    body: money.openRequest,
    answer: money.channelSummary,
    run: (api, { host: address, deposit, token }, { signal }) => api.money.open(address, deposit, signal, token),
  }),
  closeChannel: call({
    id: 'closeChannel',
    method: 'POST',
    path: '/v1/channels/{channel}/close',
    summary: 'Ends a channel; sent again after its delay, it collects the rest',
    params: ofChannel,
    answer: money.channelSummary,
    run: (api, { channel }, { signal }) => api.money.close(channel, signal),
  }),
  claim: call({
    id: 'claim',
    method: 'POST',
    path: '/v1/claim',
    summary: 'Collects what clients vouched for',
    body: money.claimRequest,
    answer: money.claimReport,
    run: (api, options, { signal }) => api.money.claim(options, signal),
  }),
  withdraw: call({
    id: 'withdraw',
    method: 'POST',
    path: '/v1/withdraw',
    summary: "Brings this address's credits out of the contract",
    body: money.withdrawRequest,
    answer: money.withdrawReport,
    run: (api, options, { signal }) => api.money.withdraw(options, signal),
  }),
  payout: call({
    id: 'payout',
    method: 'GET',
    path: '/v1/payout',
    summary: "Where a host's earnings go",
    answer: money.payoutReport,
    run: (api, _args, { signal }) => api.money.payout(undefined, signal),
  }),
  setPayout: call({
    id: 'setPayout',
    method: 'POST',
    path: '/v1/payout',
    summary: 'Sends all earnings to another address from now on; only that address can change it again',
    body: money.payoutRequest,
    answer: money.payoutReport,
    run: (api, { to }, { signal }) => api.money.payout(to, signal),
  }),
  earnings: call({
    id: 'earnings',
    method: 'GET',
    path: '/v1/earnings',
    summary: 'What was run, billed, claimed and drawn, as host and as developer, held against the chain',
    query: money.earningsQuery,
    answer: money.earningsReport,
    run: (api, { by = 'token', since }, { signal }) =>
      api.money.earnings(since === undefined ? { by } : { by, since }, signal),
  }),
  recoverChannels: call({
    id: 'recoverChannels',
    method: 'POST',
    path: '/v1/channels/recover',
    summary: 'Finds channels of this address on chain that its records lack, and asks their hosts what was signed',
    answer: money.recoverReport,
    run: (api, _args, { signal }) => api.money.recover(signal),
  }),
  vouchers: call({
    id: 'vouchers',
    method: 'GET',
    path: '/v1/vouchers',
    summary: 'Every voucher that this node holds, each as a line that stands alone; no secret',
    answer: money.voucherCopies,
    run: (api) => api.money.vouchers(),
  }),
  restoreVouchers: call({
    id: 'restoreVouchers',
    method: 'POST',
    path: '/v1/vouchers',
    summary: 'Takes such lines back, each checked as the contract would; what each came to stands at its place',
    body: money.restoreRequest,
    answer: money.restoreReport,
    run: (api, { lines, ...options }, { signal }) => api.money.restore(lines, options, signal),
  }),
  reconcile: call({
    id: 'reconcile',
    method: 'GET',
    path: '/v1/reconcile',
    summary: 'Whether both ledgers and the chain agree, to the last unit',
    answer: money.reconcileReport,
    run: (api, _args, { signal }) => api.money.reconcile(signal),
  }),
}

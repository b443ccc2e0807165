/**
 * How gossipsub behaves here: meshes that work from two nodes up, scores that make spam expensive, and caps on all it
 * decodes. Its defaults score no topic, so that a peer may publish 15,000 messages a second and stay at score 0.
 */
import { hash } from 'node:crypto'
import type { GossipsubOpts } from '@libp2p/gossipsub'
import type { TopicScoreParams } from '@libp2p/gossipsub/score'
import { OFFERS } from './limits.ts'

export function gossipOptions(topics: readonly string[]): Partial<GossipsubOpts> {
  return {
    ...mesh,
    allowedTopics: [...topics],
    floodPublish: true,
    emitSelf: false,
    fallbackToFloodsub: false,
    // A host that starts first has nobody to tell yet; whoever joins later pulls.
    allowPublishToZeroTopicPeers: true,
    runOnLimitedConnection: true,
    maxInboundStreams: 2,
    maxOutboundStreams: 2,
    maxInboundDataLength: OFFERS.maxPacketBytes,
    maxOutboundBufferSize: 4 * OFFERS.maxPacketBytes,
    decodeRpcLimits,
    // Copies of a message are known before their signature is checked, which is what a flood of copies costs.
    fastMsgIdFn: (m) => hash('sha256', Buffer.concat([m.signature ?? nothing, m.data ?? nothing])),
    scoreParams: {
      ...scores,
      topics: Object.fromEntries(topics.map((topic) => [topic, topicScore])),
    },
    scoreThresholds: {
      gossipThreshold: -10,
      publishThreshold: -40,
      graylistThreshold: -80,
      acceptPXThreshold: 1_000,
      opportunisticGraftThreshold: 1,
    },
  }
}

const nothing = new Uint8Array()

/** Small on purpose: offers are few and small, markets start with two nodes. */
const mesh = { D: 6, Dlo: 3, Dhi: 10, Dout: 1, Dlazy: 4, heartbeatInterval: 1_000, seenTTL: 120_000 }

/** Far above what an honest neighbour sends in one packet. */
const decodeRpcLimits = {
  maxSubscriptions: 16,
  maxMessages: 512,
  maxIhaveMessageIDs: 5_000,
  maxIwantMessageIDs: 5_000,
  maxIdontwantMessageIDs: 512,
  maxControlMessages: 64,
  maxPeerInfos: 16,
}

/** Peers behind one NAT are welcome up to 10; on loopback, one machine plays a whole market. */
const scores = {
  IPColocationFactorThreshold: 10,
  IPColocationFactorWeight: -5,
  IPColocationFactorWhitelist: new Set(['127.0.0.1', '::1']),
  behaviourPenaltyWeight: -10,
  behaviourPenaltyThreshold: 6,
  behaviourPenaltyDecay: 0.9,
  retainScore: 600_000,
}

/**
 * Time in the mesh and new messages earn at most 15 points; three invalid messages cost 90, below the graylist, and are
 * forgotten over minutes. Nobody is fined for silence (P3): a quiet market is not an attack.
 */
const topicScore: TopicScoreParams = {
  topicWeight: 1,
  timeInMeshWeight: 0.01,
  timeInMeshQuantum: 1_000,
  timeInMeshCap: 500,
  firstMessageDeliveriesWeight: 0.5,
  firstMessageDeliveriesDecay: 0.98,
  firstMessageDeliveriesCap: 20,
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 1,
  meshMessageDeliveriesThreshold: 1,
  meshMessageDeliveriesWindow: 10,
  meshMessageDeliveriesActivation: 5_000,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  invalidMessageDeliveriesWeight: -10,
  invalidMessageDeliveriesDecay: 0.99,
}

/**
 * The MECA cases that stand in no other file: M-01 to M-05 and M-20 are in test/task, M-06 and M-09 to M-19 in
 * test/engine, M-01 and M-07 over the examples in test/examples, M-20 with a host in test/e2e.
 */
import { test } from 'node:test'

test('M-08 knn answers its example request', {
  skip: 'needs torch for CPU from an index of its own, which is not among the package registries',
})

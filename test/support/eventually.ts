/** Waiting for something that has no event: polled, with an end that only a test that hangs reaches. */

/** Waits until `check` holds; fails with the name of what did not happen. */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
  withinMs = 30_000,
): Promise<void> {
  const until = performance.now() + withinMs
  while (!(await check())) {
    if (performance.now() > until) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

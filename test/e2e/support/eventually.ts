import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";

/** Resolves when `condition` holds. Fails, saying what was waited for, when it does not within the time. */
export async function eventually(
  what: string,
  seconds: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const until = Date.now() + seconds * 1_000;
  while (!(await condition())) {
    assert.ok(Date.now() < until, `${what}: not within ${seconds} s`);
    await delay(200);
  }
}

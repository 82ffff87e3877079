/**
 * A key management service may change what stands behind a provider: the same key, the same configuration, another key_id. The
 * plugin says so at once, and each API server hears of it within about a minute. What is stored under the key_id of before is
 * stale from then on, and nothing is written again as long as a server still takes it for current.
 */
import { createHash } from "node:crypto";
import { RotationStage } from "../../core/rotation-stage";
import type { ServerObservation } from "../observation";
import type { Situation } from "../situation";
import { blocked, names, type Rule, wait } from "./rule";

/** Between WRITE and REWRITE: a no-op write through a server that has not heard of the key_id would change nothing. */
export const everyServerUsesTheKeyId: Rule = (situation) => {
  const { observed, goal } = situation;
  const behind = serversBehind(situation);
  if (behind.length === 0) return undefined;
  const reason = `${names(behind)} to hear from its plugin that the key_id has changed (API servers ask about once a minute)`;
  if (observed.now - (observed.keyIdBehindSince ?? observed.now) <= goal.limits.reload)
    return wait(RotationStage.Write, reason);
  return blocked(
    RotationStage.Write,
    `${names(behind)} still uses another key_id than its plugin reports`,
    `see in the log of its API server why it does not change over ("failed to rotate DEK"), mend that, then run again`,
  );
};

/** Servers that say of the provider that should write that they use another key_id than the one that its plugins report. */
export function serversBehind({ observed, slots, targets }: Situation): readonly ServerObservation[] {
  const wanted = new Map<string, string>();
  for (const { slot, item } of slots) {
    const keyId = targets.find(({ resource }) => slot.resources.includes(resource))?.key.keyId;
    if (item.kind === "kms" && item.apiVersion === "v2" && keyId !== undefined) wanted.set(item.name, keyIdHash(keyId));
  }
  return observed.servers.filter(({ heardKeyIds = [] }) =>
    heardKeyIds.some((heard) => wanted.has(heard.provider) && wanted.get(heard.provider) !== heard.keyIdHash),
  );
}

/** As API servers put a key_id into their metrics. */
export function keyIdHash(keyId: string): string {
  return `sha256:${createHash("sha256").update(keyId).digest("hex")}`;
}

import assert from "node:assert/strict";
import { describeError } from "../../../../core/errors";
import type { KmsSettings } from "../../../../rotation/adapters/aks/kms-settings";
import type { ManagedClusterState } from "../../../../rotation/adapters/aks/managed-cluster";
import { runAks } from "../../../../rotation/adapters/aks/run-aks";

const limits = { apiMs: 1_000, pauseMs: 1, settleMs: 0, busyMs: 1_000 };
const goal: KmsSettings = {
  mode: "legacy",
  keyId: `https://private.vault.azure.net/keys/etcd/${"1".repeat(32)}`,
  networkAccess: "Private",
  vaultId: "/vaults/private",
};

/** AKS has taken a private vault that it can't look into, and its API servers may not use the key for so many passes. */
async function drive(refused: number, ageMs: number | undefined, grantMs: number) {
  const state: ManagedClusterState = { provisioningState: "Succeeded", isStopped: false, kms: goal, body: {} };
  let passes = 0;
  const said: string[] = [];
  const failed = await runAks({
    target: {
      cluster: { id: "aks", observe: async () => state, set: async () => assert.fail("nothing is to be set") },
      grants: { ageOf: async () => ageMs },
      openRewriter: async () => ({
        async rewrite() {
          passes += 1;
          const failure = { resource: "secrets", namespace: "", name: "one", reason: "500: ForbiddenByRbac" };
          return { offered: 100, rewritten: 0, failures: passes <= refused ? [failure] : [] };
        },
        count: async () => 100,
        close: async () => undefined,
      }),
    },
    goal,
    provenBefore: undefined,
    limits: { ...limits, grantMs },
    onEvent: ({ message }) => said.push(message),
    signal: new AbortController().signal,
  }).then(() => "", describeError);
  return { failed, passes, said: said.join("\n") };
}

describe("a rewrite while the right to use a private vault's key is on its way", () => {
  it("the newest grant is young => waited for, past as many passes as a rewrite may fail", async () => {
    const { failed, said } = await drive(30, 5_000, 60_000);
    assert.equal(failed, "");
    assert.match(said, /ForbiddenByRbac; AKS can't look into a private vault, and the newest grant there is 5 s old/);
  });

  it("it is old, or there is none => not waited for", async () => {
    const { failed, passes } = await drive(30, undefined, 60_000);
    assert.match(failed, /ForbiddenByRbac/);
    assert.ok(passes < 30);
  });

  it("the time for grants is over => not waited for any longer", async () => {
    assert.match((await drive(Number.POSITIVE_INFINITY, 5_000, 100)).failed, /ForbiddenByRbac/);
  });
});

import assert from "node:assert/strict";
import { aksEvidence } from "../../../../rotation/adapters/aks/aks-evidence";
import { rewriteAll } from "../../../../rotation/adapters/aks/rewrite-secrets";

describe("all Secrets of a cluster of AKS, written again", () => {
  /** `again`: how many Secrets each pass stores again. */
  const rewritten = (...again: readonly number[]) => rewrittenOf(300, ...again);
  async function rewrittenOf(offered: number, ...again: readonly number[]) {
    const left = [...again];
    return rewriteAll({
      open: async () => ({
        rewrite: async () => ({ offered, rewritten: left.shift() ?? 0, failures: [] }),
        count: async () => undefined,
        close: async () => undefined,
      }),
      limits: { apiMs: 1_000, pauseMs: 1, settleMs: 0 },
      settledAt: 0,
      onProgress: () => undefined,
      signal: new AbortController().signal,
    });
  }
  const discoveryOf = async (...again: readonly number[]) => {
    const kms = { mode: "legacy", keyId: "https://v.vault.azure.net/keys/k/1", networkAccess: "Public" } as const;
    const state = { provisioningState: "Succeeded", isStopped: false, kms, body: {} };
    return aksEvidence(state, await rewritten(...again), 0).discovery;
  };

  it("a pass that leaves all as they are => the evidence says so", async () => {
    assert.deepEqual(await rewritten(300, 0), { objects: 300, rewritten: 300, passes: 2, storedAgainLast: 0 });
    assert.match(await discoveryOf(300, 0), /^all 300 Secrets were offered .* left as they are by the last pass;/);
  });

  it("clients that go on changing some => a third pass is taken for clean, and the evidence says what it stored again", async () => {
    assert.deepEqual(await rewritten(300, 6, 4), { objects: 300, rewritten: 310, passes: 3, storedAgainLast: 4 });
    assert.match(await discoveryOf(300, 6, 4), /by the last pass but for 4 that it stored again, taken for changes/);
  });

  it("a few Secrets => as many passes as it takes to see that API servers agree", async () => {
    assert.deepEqual(await rewrittenOf(5, 5), { objects: 5, rewritten: 5, passes: 6, storedAgainLast: 0 });
    assert.deepEqual(await rewrittenOf(0), { objects: 0, rewritten: 0, passes: 1, storedAgainLast: 0 });
  });

  it("a few Secrets, of which some are stored again by each pass => nothing is proven", async () => {
    await assert.rejects(rewrittenOf(8, ...Array<number>(9).fill(5)), /after 8 passes API servers still store/);
    await assert.rejects(rewrittenOf(8, ...Array<number>(40).fill(3)), /after \d+ passes API servers still store/);
  });

  it("as many as when API servers write with different keys => no pass comes out clean, and nothing is proven", async () => {
    await assert.rejects(
      rewritten(...Array<number>(9).fill(7)),
      /after 8 passes API servers still store Secrets again/,
    );
  });
});

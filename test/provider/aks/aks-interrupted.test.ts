import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../core/errors";
import { typeTokens } from "../../../core/type-tokens";
import type { Properties } from "../../../provider/property-values";
import type { ManagedClusterState } from "../../../rotation/adapters/aks/managed-cluster";
import type { RewriteResult } from "../../../rotation/stored-objects";
import type { TestCluster } from "../../rotation/adapters/aks/aks-side";
import { type AksStack, aksLimits, aksStack } from "../support/aks-stack";
import { nonconforming } from "../support/schema-conformance";

describe("what AksKmsSettings knows after an update that has not ended well", function () {
  this.timeout(120_000);
  let aks: AksStack["aks"];
  let side: AksStack["side"];
  let stack: AksStack["stack"];
  const clusters = new Map<string, TestCluster>();

  aksStack(clusters, (made) => {
    ({ aks, side, stack } = made);
  });

  /** Under its first key; the identity may not use the second one. `disturb` comes before each pass. */
  async function encrypted() {
    const made = await aks.cluster();
    for (const name of ["one", "two"]) made.memory.writeSecret(name);
    const hook: { disturb(state: ManagedClusterState): RewriteResult | undefined } = { disturb: () => undefined };
    clusters.set(made.id, {
      ...made,
      target: () => {
        const target = made.target();
        return {
          ...target,
          openRewriter: async (state, signal) => {
            const rewriter = await target.openRewriter(state, signal);
            return { ...rewriter, rewrite: async (...given) => hook.disturb(state) ?? rewriter.rewrite(...given) };
          },
        };
      },
    });
    const keyIds = [
      await (await aks.vault()).key("k1"),
      await (await aks.vault("Public", [])).key("k2"),
      await (await aks.vault()).key("k3"),
    ] as const;
    const inputs = (keyVersion: 1 | 2 | 3): Properties => {
      return { clusterId: made.id, keyId: keyIds[keyVersion - 1] ?? "", keyVersion, limits: aksLimits };
    };
    assert.equal((await stack.up(inputs(1))).failure, undefined);
    return { made, hook, keyIds, inputs };
  }
  const outputs = (): Properties => stack.state()?.outputs ?? {};
  /** After a failure there is no evidence. */
  const unlikeSchema = () =>
    nonconforming(typeTokens.aksKmsSettings, outputs()).filter((problem) => problem !== ".evidence is missing");
  const planOf = (inputs: Properties | undefined) => (inputs?.["plan"] as string[] | undefined)?.join("\n") ?? "";

  it("gone back, and the rewrite is refused => no evidence, the failed key is guarded, and the next up with the key from before rewrites", async () => {
    const { hook, keyIds, inputs } = await encrypted();
    let hasFailed = false;
    hook.disturb = ({ provisioningState }) => {
      if (provisioningState === "Failed") hasFailed = true;
      if (!hasFailed || provisioningState === "Failed") return undefined;
      const failure = { resource: "secrets", namespace: "", name: "one", reason: "a webhook says no" };
      return { offered: 2, rewritten: 0, failures: [failure] };
    };
    const { failure = "" } = await stack.up(inputs(2));
    assert.match(failure, /a webhook says no; what AKS could not do first: .*ValidateIdentityPermission/s);
    const { settings, evidence, provenETag, previousKeyId, lastGoodSettings } = outputs();
    assert.equal((settings as Properties)["keyId"], keyIds[0]);
    assert.deepEqual(
      [evidence, provenETag, lastGoodSettings, previousKeyId],
      [undefined, undefined, undefined, keyIds[1]],
    );
    assert.deepEqual(unlikeSchema(), []);
    hook.disturb = () => undefined;
    const { op, inputs: planned } = await stack.preview(inputs(1));
    assert.deepEqual(op, "update");
    assert.match(planOf(planned), /^1\. Rewrite: 2 Secrets written again under key version 1/);
    const wanted = { keyId: keyIds[1], enabled: false };
    const { problems } = await side.resource(typeTokens.azureKeyAttributes).check(undefined, wanted);
    assert.match(problems.join(), /would disable .*rule L2/);
    await side.resource(typeTokens.azureKeyAttributes).check(undefined, { keyId: keyIds[1], enabled: true });
    assert.deepEqual(await stack.up(inputs(1)), { op: "update", failure: undefined });
    assert.equal((outputs()["evidence"] as Properties)["complete"], true);
    assert.equal((await stack.preview(inputs(1))).op, "same");
  });

  it("killed after it had gone back, so that the state says nothing of it => the cluster's ETag does, and everything is written again", async () => {
    const { inputs } = await encrypted();
    const before = stack.state();
    await stack.up(inputs(2));
    stack.restore(before);
    const { op, inputs: planned } = await stack.preview(inputs(1));
    assert.equal(op, "update");
    assert.match(planOf(planned), /^1\. Rewrite: 2 Secrets written again under key version 1.*not proven.*$/);
    assert.deepEqual(await stack.up(inputs(1)), { op: "update", failure: undefined });
    assert.equal((await stack.preview(inputs(1))).op, "same");
  });

  it("stopped while the new key has failed, and it can never work => the key from before and a third key are reached", async () => {
    for (const version of [1, 3] as const) {
      const { made, hook, keyIds, inputs } = await encrypted();
      hook.disturb = ({ provisioningState }) => {
        if (provisioningState !== "Failed") return undefined;
        throw new KmsEtcdError("cancelled", "stopped");
      };
      assert.match((await stack.up(inputs(2))).failure ?? "", /stopped/);
      const { previousKeyId, lastGoodSettings } = outputs();
      assert.deepEqual([previousKeyId, (lastGoodSettings as Properties)["keyId"]], [keyIds[0], keyIds[0]]);
      assert.deepEqual(unlikeSchema(), []);
      hook.disturb = () => undefined;
      assert.deepEqual(await stack.up(inputs(version)), { op: "update", failure: undefined });
      assert.deepEqual(made.memory.stored(), { one: keyIds[version - 1], two: keyIds[version - 1] });
      assert.equal(outputs()["lastGoodSettings"], undefined);
      stack.lose();
    }
  });
});

import assert from "node:assert/strict";
import { describeError } from "../../../../core/errors";
import type { KmsSettings } from "../../../../rotation/adapters/aks/kms-settings";
import { type AksEvent, type AksRunOptions, runAks } from "../../../../rotation/adapters/aks/run-aks";
import { roles } from "../../../fakes/arm/roles";
import { type AksSide, publicly, startAksSide, type TestCluster, type TestVault } from "./aks-side";

const limits = { apiMs: 5_000, pauseMs: 20, settleMs: 0, busyMs: 20_000, grantMs: 20_000 };

describe("where the driver of AKS goes back to", function () {
  this.timeout(120_000);
  let aks: AksSide;
  before(async () => {
    aks = await startAksSide();
  });
  after(() => aks.close());

  const followed = (keyId: string, { id }: TestVault): KmsSettings => ({
    mode: "cmk",
    keyId: keyId.replace(/\/[^/]*$/, ""),
    networkAccess: "Public",
    vaultId: id,
  });

  async function drive(
    cluster: TestCluster,
    goal: KmsSettings,
    more: Partial<AksRunOptions> = {},
  ): Promise<{ legs: string[]; held: AksEvent["held"]; said: string }> {
    const legs: string[] = [];
    let held: AksEvent["held"];
    const { onEvent, ...rest } = more;
    const said = await runAks({
      target: cluster.target(),
      goal,
      provenBefore: undefined,
      limits,
      signal: new AbortController().signal,
      ...rest,
      onEvent: (event) => {
        const { kind, leg } = event;
        held = event.held ?? held;
        if (kind === "leg") legs.push(leg.kind === "set" ? `set ${leg.settings.mode}` : leg.kind);
        onEvent?.(event);
      },
    }).then(() => "", describeError);
    return { legs, held, said };
  }

  async function clusterUnder(settings: KmsSettings): Promise<TestCluster> {
    const cluster = await aks.cluster();
    cluster.memory.writeSecret("one");
    assert.equal((await drive(cluster, settings)).said, "");
    return cluster;
  }

  const settingsOf = async (cluster: TestCluster) => {
    const { kms, provisioningState } = await cluster.target().cluster.observe(AbortSignal.timeout(10_000));
    return [provisioningState, kms.mode];
  };

  /** Stopped after the first failure, as ^C does. */
  async function stoppedInFailure(cluster: TestCluster, goal: KmsSettings) {
    const stop = new AbortController();
    const stopped = await drive(cluster, goal, {
      signal: stop.signal,
      onEvent: ({ kind, leg }) => {
        if (kind === "warning" && leg.kind === "set") stop.abort();
      },
    });
    assert.equal((await settingsOf(cluster))[0], "Failed");
    return stopped.held;
  }

  describe("from KMS data encryption that could not be turned on", () => {
    for (const name of ["off", "the KMS plugin"]) {
      it(`with ${name} before => left as it is, never in another mode that nobody asked for, with what AKS lacks; then granted, it goes on`, async () => {
        const vault = await aks.vault("Public", []);
        const goal = followed(await vault.key("k1"), vault);
        const before = name === "off" ? ({ mode: "off" } as const) : publicly(await (await aks.vault()).key("k0"));
        const cluster = await clusterUnder(before);
        const { legs, said } = await drive(cluster, goal);
        assert.deepEqual(
          legs.filter((leg) => leg.startsWith("set ")),
          ["set cmk", "set cmk", "set cmk"],
        );
        assert.match(said, /2 tries: .*does not have keys encrypt.*there is no way back to the settings from before/s);
        assert.doesNotMatch(said, /somebody else|stored under them/);
        assert.deepEqual(await settingsOf(cluster), ["Failed", "cmk"]);
        aks.fake.arm.access.grant(aks.principalId, roles.keyVaultCryptoUser, vault.id);
        aks.fake.arm.access.grant(aks.principalId, roles.keyVaultContributor, vault.id);
        assert.equal((await drive(cluster, goal)).said, "");
      });
    }

    it("with the platform's key before => back to that, which says nothing of what is stored", async () => {
      const vault = await aks.vault("Public", []);
      const cluster = await clusterUnder({ mode: "pmk" });
      const { said } = await drive(cluster, followed(await vault.key("k1"), vault));
      assert.match(said, /does not have keys encrypt.*; the cluster is back at the settings from before; mend/s);
      assert.deepEqual(await settingsOf(cluster), ["Succeeded", "pmk"]);
    });
  });

  it("the rewrite after going back fails => its reason, and what AKS could not do before it", async () => {
    const vault = await aks.vault();
    const first = publicly(await vault.key("k1"));
    const bad = publicly(await (await aks.vault("Public", [])).key("k2"));
    const cluster = await clusterUnder(first);
    const target = cluster.target();
    let failures = 0;
    const { said, held } = await drive(cluster, bad, {
      onEvent: ({ kind, leg }) => {
        if (kind === "warning" && leg.kind === "set") failures += 1;
      },
      target: {
        ...target,
        openRewriter: async (state, signal) => {
          const rewriter = await target.openRewriter(state, signal);
          const failure = { resource: "secrets", namespace: "", name: "one", reason: "a webhook says no" };
          if (failures < 2 || state.provisioningState === "Failed") return rewriter;
          return { ...rewriter, rewrite: async () => ({ offered: 1, rewritten: 0, failures: [failure] }) };
        },
      },
    });
    assert.match(said, /a webhook says no; what AKS could not do first: .*does not have keys encrypt/s);
    assert.deepEqual(held, { settings: first, previousKeyId: (bad as { keyId: string }).keyId, lastGood: first });
  });

  describe("from settings that an earlier run was stopped in, and that can never work", () => {
    it("the settings from before, or a third key => there, by way of the settings from before", async () => {
      const vault = await aks.vault();
      const [first, third] = [publicly(await vault.key("k1")), publicly(await vault.key("k3"))];
      for (const goal of [first, third]) {
        const bad = publicly(await (await aks.vault("Public", [])).key("k2"));
        const cluster = await clusterUnder(first);
        const held = await stoppedInFailure(cluster, bad);
        assert.deepEqual(held, { settings: bad, previousKeyId: (first as { keyId: string }).keyId, lastGood: first });
        const { said } = await drive(cluster, goal, held);
        assert.deepEqual([said, await cluster.state()], ["", "Succeeded"]);
        assert.equal(cluster.memory.stored()["one"], (goal as { keyId: string }).keyId);
      }
    });

    it("off, from which it came => off again", async () => {
      const cluster = await clusterUnder({ mode: "off" });
      const held = await stoppedInFailure(cluster, publicly(await (await aks.vault("Public", [])).key("k1")));
      assert.equal((await drive(cluster, { mode: "off" }, held)).said, "");
      assert.deepEqual(await settingsOf(cluster), ["Succeeded", "off"]);
    });

    it("a key that AKS need not have any more => never gone back to", async () => {
      const vault = await aks.vault();
      const first = publicly(await vault.key("k1"));
      const cluster = await clusterUnder(first);
      const bad = publicly(await (await aks.vault("Public", [])).key("k2"));
      const held = await stoppedInFailure(cluster, bad);
      const previousKeyId = await vault.key("k9");
      const { legs, said } = await drive(cluster, first, { ...held, previousKeyId });
      assert.match(said, /2 tries: .*; the cluster is left as AKS has left it/s);
      assert.equal(legs.filter((leg) => leg.startsWith("set ")).length, 3);
    });
  });

  it("a proof counts until anybody changes the cluster: with another ETag every Secret is written again", async () => {
    const goal = publicly(await (await aks.vault()).key("k1"));
    const cluster = await clusterUnder(goal);
    const once = await runAks({
      target: cluster.target(),
      goal,
      provenBefore: undefined,
      limits,
      signal: new AbortController().signal,
      onEvent: () => undefined,
    });
    const proven = { provenBefore: goal, provenETag: once.provenETag };
    assert.equal(typeof once.provenETag, "string");
    assert.deepEqual((await drive(cluster, goal, proven)).legs, []);
    const other = publicly(await (await aks.vault()).key("k2"));
    for (const to of [other, goal]) {
      await cluster.target().cluster.set({ to }, AbortSignal.timeout(10_000), () => undefined);
    }
    assert.deepEqual((await drive(cluster, goal, proven)).legs, ["rewrite"]);
  });
});

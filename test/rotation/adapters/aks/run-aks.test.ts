import assert from "node:assert/strict";
import { describeError } from "../../../../core/errors";
import { type KmsSettings, stableApiVersion } from "../../../../rotation/adapters/aks/kms-settings";
import { managedCluster } from "../../../../rotation/adapters/aks/managed-cluster";
import { type AksEvent, type AksRun, type AksRunOptions, runAks } from "../../../../rotation/adapters/aks/run-aks";
import { ArmError } from "../../../fakes/arm/arm-error";
import { roles } from "../../../fakes/arm/roles";
import type { JsonObject } from "../../../fakes/arm/shape";
import { type AksSide, publicly, startAksSide, type TestCluster, type TestVault } from "./aks-side";

const limits = { apiMs: 5_000, pauseMs: 20, settleMs: 50, busyMs: 20_000, grantMs: 20_000 };

/** What was done, in a word each. */
const legsIn = (events: readonly AksEvent[]) =>
  events.flatMap(({ kind, leg }) => {
    if (kind !== "leg") return [];
    if (leg.kind === "set") return [`set ${leg.settings.mode}`];
    return [leg.kind === "vault" ? `vault ${leg.network}` : leg.kind];
  });

describe("the driver of AKS, on the fake ARM over its REST door", function () {
  this.timeout(120_000);
  let aks: AksSide;
  before(async () => {
    aks = await startAksSide();
  });
  after(() => aks.close());

  const privately = (keyId: string, { id }: TestVault): KmsSettings => ({
    mode: "legacy",
    keyId,
    networkAccess: "Private",
    vaultId: id,
  });

  async function drive(
    cluster: TestCluster,
    goal: KmsSettings,
    more: Partial<AksRunOptions> & { readonly vault?: TestVault } = {},
  ): Promise<{ run: AksRun | undefined; events: AksEvent[]; legs: string[]; thrown: Error | undefined }> {
    const events: AksEvent[] = [];
    const { onEvent, vault, ...rest } = more;
    const ended = runAks({
      target: cluster.target(vault),
      goal,
      provenBefore: undefined,
      limits,
      signal: new AbortController().signal,
      ...rest,
      onEvent: (event) => {
        events.push(event);
        onEvent?.(event);
      },
    });
    const [run, thrown] = await ended.then(
      (value) => [value, undefined] as const,
      (error: unknown) => [undefined, error as Error] as const,
    );
    return { run, events, legs: legsIn(events), thrown };
  }

  /** With two Secrets from before, and what it was told to. */
  async function clusterUnder(settings: KmsSettings, vault?: TestVault): Promise<TestCluster> {
    const cluster = await aks.cluster();
    for (const name of ["one", "two"]) cluster.memory.writeSecret(name);
    const { thrown } = await drive(cluster, settings, vault === undefined ? {} : { vault });
    assert.equal(thrown, undefined);
    return cluster;
  }

  it("enable => what is stored is looked at, KMS set, every Secret under the key; all else of the cluster as it was", async () => {
    const cluster = await aks.cluster();
    for (const name of ["one", "two"]) cluster.memory.writeSecret(name);
    const before = (await aks.arm.ask("GET", cluster.id, stableApiVersion)).body;
    const keyId = await (await aks.vault()).key("k1");
    const { run, legs } = await drive(cluster, publicly(keyId));
    assert.deepEqual(legs, ["rewrite", "set legacy", "rewrite"]);
    assert.deepEqual(cluster.memory.stored(), { one: keyId, two: keyId });
    assert.deepEqual([run?.rewritten?.objects, run?.rewritten?.rewritten], [2, 2]);
    const after = (await aks.arm.ask("GET", cluster.id, stableApiVersion)).body;
    const others = ({ eTag: _tag, properties, ...rest }: JsonObject) => {
      const { securityProfile: _profile, ...more } = properties as JsonObject;
      return { ...rest, more };
    };
    assert.deepEqual(others(after), others(before));
  });

  it("where everything is as it should be => nothing is asked of AKS and no Secret is written; unproven => one rewrite", async () => {
    const keyId = await (await aks.vault()).key("k1");
    const cluster = await clusterUnder(publicly(keyId));
    const configured = cluster.memory.history.length;
    assert.deepEqual((await drive(cluster, publicly(keyId), { provenBefore: publicly(keyId) })).legs, []);
    assert.deepEqual((await drive(cluster, publicly(keyId))).legs, ["rewrite"]);
    assert.equal(cluster.memory.history.length, configured);
  });

  it("rotate, rotate again, go back, turn off => never a Secret that AKS has no key for", async () => {
    const vault = await aks.vault();
    const keys = [await vault.key("k1"), await vault.key("k2"), await vault.key("k3")] as const;
    const cluster = await clusterUnder(publicly(keys[0]));
    let provenBefore = publicly(keys[0]);
    for (const goal of [publicly(keys[1]), publicly(keys[2]), publicly(keys[1]), { mode: "off" } as const]) {
      cluster.memory.writeSecret("new");
      const { legs, thrown } = await drive(cluster, goal, { provenBefore });
      assert.equal(thrown, undefined);
      assert.deepEqual(legs, ["rewrite", `set ${goal.mode}`, "rewrite"]);
      provenBefore = goal;
    }
    assert.deepEqual(new Set(Object.values(cluster.memory.stored())), new Set(["identity"]));
  });

  it("somebody has rotated by hand and rewritten nothing => the next rotation rewrites first", async () => {
    const vault = await aks.vault();
    const [first, second, third] = [await vault.key("k1"), await vault.key("k2"), await vault.key("k3")];
    const cluster = await clusterUnder(publicly(first));
    const byHand = { ...limits, settleMs: 0 };
    await cluster.target().cluster.set({ to: publicly(second) }, AbortSignal.timeout(10_000), () => undefined);
    assert.equal(cluster.memory.stored()["one"], first);
    const { thrown } = await drive(cluster, publicly(third), { provenBefore: publicly(first), limits: byHand });
    assert.equal(thrown, undefined);
    assert.equal(cluster.memory.stored()["one"], third);
  });

  it("the vault becomes private, and public again => off, rewrite, vault, on, rewrite", async () => {
    const vault = await aks.vault();
    const keyId = await vault.key("k1");
    const cluster = await clusterUnder(publicly(keyId), vault);
    const closing = await drive(cluster, privately(keyId, vault), { vault, provenBefore: publicly(keyId) });
    const way = ["rewrite", "set off", "rewrite", "vault Private", "set legacy", "rewrite"];
    assert.deepEqual([closing.thrown, closing.legs], [undefined, way]);
    assert.equal(await vault.network(), "Disabled");
    const opening = await drive(cluster, publicly(keyId), { vault });
    assert.deepEqual(
      opening.legs,
      way.map((leg) => leg.replace("Private", "Public")),
    );
    assert.deepEqual([await vault.network(), cluster.memory.stored()["one"]], ["Enabled", keyId]);
  });

  it("KMS data encryption => set, and nothing of ours to rewrite; its vault closes after AKS was told; it is never left", async () => {
    const vault = await aks.vault();
    const keyId = await vault.key("k1");
    const cluster = await clusterUnder(publicly(keyId), vault);
    const versionless = keyId.replace(/\/[^/]*$/, "");
    const cmk = (networkAccess: "Public" | "Private"): KmsSettings => ({
      mode: "cmk",
      keyId: versionless,
      networkAccess,
      vaultId: vault.id,
    });
    assert.deepEqual((await drive(cluster, cmk("Public"), { vault })).legs, ["rewrite", "set cmk"]);
    assert.deepEqual(cluster.memory.stored(), { one: versionless, two: versionless });
    assert.deepEqual((await drive(cluster, cmk("Private"), { vault })).legs, ["set cmk", "vault Private"]);
    assert.deepEqual((await drive(cluster, cmk("Public"), { vault })).legs, ["vault Public", "set cmk"]);
    assert.deepEqual((await drive(cluster, { mode: "pmk" })).legs, ["set pmk"]);
    assert.match(String((await drive(cluster, { mode: "off" })).thrown), /can't be turned off/);
  });

  it("KMS v1 => turned off and, after the upgrade, on again; from key to key it is refused", async () => {
    const vault = await aks.vault();
    const [first, second] = [await vault.key("k1"), await vault.key("k2")];
    const cluster = await aks.cluster({ kubernetesVersion: "1.26" });
    cluster.memory.writeSecret("one");
    await drive(cluster, publicly(first));
    assert.match(String((await drive(cluster, publicly(second))).thrown), /encrypts by KMS v1/);
    assert.equal((await drive(cluster, { mode: "off" })).thrown, undefined);
    const { body } = await aks.arm.ask("GET", cluster.id, stableApiVersion);
    const properties = { ...(body["properties"] as JsonObject), kubernetesVersion: "1.27" };
    assert.equal((await aks.arm.put(cluster.id, stableApiVersion, { ...body, properties })).code, "");
    assert.equal((await drive(cluster, publicly(second))).thrown, undefined);
    assert.deepEqual(cluster.memory.stored(), { one: second });
  });

  describe("with a proof from an earlier run", () => {
    it("somebody has opened the vault => it is closed again, and KMS stays on", async () => {
      const vault = await aks.vault("Private", [roles.keyVaultCryptoUser, roles.keyVaultContributor]);
      const goal = privately(await vault.key("k1"), vault);
      const cluster = await clusterUnder(goal, vault);
      await cluster.target(vault).vault?.set("Public", AbortSignal.timeout(10_000), () => undefined);
      const { legs, thrown } = await drive(cluster, goal, { vault, provenBefore: goal });
      assert.deepEqual([thrown, legs, await vault.network()], [undefined, ["vault Private"], "Disabled"]);
      assert.deepEqual(new Set(Object.values(cluster.memory.stored())), new Set([(goal as { keyId: string }).keyId]));
    });

    it("the vault has changed and a rotation was never proven => no Secret is left under a key that AKS forgets", async () => {
      const vault = await aks.vault("Private", [roles.keyVaultCryptoUser, roles.keyVaultContributor]);
      const [first, second] = [privately(await vault.key("k1"), vault), privately(await vault.key("k2"), vault)];
      const cluster = await clusterUnder(first, vault);
      await cluster
        .target(vault)
        .cluster.set({ to: second, from: first }, AbortSignal.timeout(10_000), () => undefined);
      await cluster.target(vault).vault?.set("Public", AbortSignal.timeout(10_000), () => undefined);
      const { legs, thrown } = await drive(cluster, second, { vault });
      assert.deepEqual([thrown, legs], [undefined, ["vault Private", "rewrite"]]);
      assert.deepEqual(new Set(Object.values(cluster.memory.stored())), new Set([(second as { keyId: string }).keyId]));
    });

    it("KMS was turned off by hand => on again, and everything is rewritten, whatever was proven before", async () => {
      const goal = publicly(await (await aks.vault()).key("k1"));
      const cluster = await clusterUnder(goal);
      const off = { mode: "off" } as const;
      await cluster.target().cluster.set({ to: off, from: goal }, AbortSignal.timeout(10_000), () => undefined);
      await drive(cluster, off);
      const { legs, thrown } = await drive(cluster, goal, { provenBefore: goal });
      assert.deepEqual([thrown, legs], [undefined, ["rewrite", "set legacy", "rewrite"]]);
      assert.deepEqual(new Set(Object.values(cluster.memory.stored())), new Set([(goal as { keyId: string }).keyId]));
    });
  });

  describe("when something goes wrong", () => {
    it("the operation fails => everything is rewritten, the settings are asked for again, and proven", async () => {
      const vault = await aks.vault();
      const [first, second] = [await vault.key("k1"), await vault.key("k2")];
      const cluster = await clusterUnder(publicly(first));
      cluster.memory.failNext("a node of the control plane is gone");
      const { legs, thrown, events } = await drive(cluster, publicly(second));
      assert.deepEqual([thrown, legs], [undefined, ["rewrite", "set legacy", "rewrite", "set legacy", "rewrite"]]);
      assert.match(events.map(({ message }) => message).join(), /a node of the control plane is gone/);
      assert.deepEqual([await cluster.state(), cluster.memory.stored()["one"]], ["Succeeded", second]);
    });

    it("the API servers are away after the failure => waited for, as long as limits say", async () => {
      const vault = await aks.vault();
      const [first, second] = [await vault.key("k1"), await vault.key("k2")];
      const cluster = await clusterUnder(publicly(first));
      cluster.memory.failNext("no");
      let isFirst = true;
      const { thrown, events } = await drive(cluster, publicly(second), {
        onEvent: ({ kind, leg }) => {
          if (kind !== "warning" || leg.kind !== "set" || !isFirst) return;
          isFirst = false;
          cluster.away(4);
        },
      });
      assert.equal(thrown, undefined);
      assert.match(events.map(({ message }) => message).join(), /waiting until the API servers answer: .*ECONNREFUSED/);
    });

    it("a key that can't be used => after two tries back to the key from before, with everything under it; again with a good key => there", async () => {
      const vault = await aks.vault();
      const other = await aks.vault("Public", []);
      const [first, bad, good] = [await vault.key("k1"), await other.key("k2"), await vault.key("k3")];
      const cluster = await clusterUnder(publicly(first));
      const { legs, thrown } = await drive(cluster, publicly(bad));
      assert.deepEqual(legs.slice(-3), ["set legacy", "rewrite", "set legacy"], "asked for last, and refused by us");
      assert.match(String(thrown), /2 tries: .*does not have keys encrypt.*; the cluster is back at the settings/s);
      assert.deepEqual([await cluster.state(), cluster.memory.stored()["one"]], ["Succeeded", first]);
      assert.equal((await drive(cluster, publicly(good))).thrown, undefined);
      assert.equal(cluster.memory.stored()["one"], good);
    });

    it("the right to connect to a private vault comes late => waited for, and the key is used in the first try", async () => {
      const vault = await aks.vault("Private", [roles.keyVaultCryptoUser]);
      const goal = privately(await vault.key("k1"), vault);
      const cluster = await aks.cluster();
      cluster.memory.writeSecret("one");
      const { legs, thrown, events } = await drive(cluster, goal, {
        target: cluster.target(vault, 10_000),
        onEvent: ({ message }) => {
          if (message.includes("waiting until AKS sees"))
            aks.fake.arm.access.grant(aks.principalId, roles.keyVaultContributor, vault.id);
        },
      });
      assert.deepEqual([thrown, legs], [undefined, ["rewrite", "set legacy", "rewrite"]]);
      assert.match(
        events.map(({ message }) => message).join(),
        /waiting until AKS sees that the cluster's identity may/,
      );
    });

    it("the right to use the key of a private vault comes late => asked again until it has arrived, more often than AKS may fail", async () => {
      const vault = await aks.vault("Private", [roles.keyVaultContributor]);
      const goal = privately(await vault.key("k1"), vault);
      const cluster = await aks.cluster();
      cluster.memory.writeSecret("one");
      aks.fake.arm.access.delayMs = 60_000;
      await aks.assign(roles.keyVaultCryptoUser, vault.id);
      aks.fake.arm.access.delayMs = 0;
      let failures = 0;
      const { thrown, events } = await drive(cluster, goal, {
        target: cluster.target(vault, 60_000),
        onEvent: ({ kind, leg }) => {
          if (kind !== "warning" || leg.kind !== "set") return;
          failures += 1;
          if (failures === 4) aks.fake.arm.access.grant(aks.principalId, roles.keyVaultCryptoUser, vault.id);
        },
      });
      assert.deepEqual([thrown, failures], [undefined, 4]);
      assert.match(
        events.map(({ message }) => message).join(),
        /newest grant there is \d+ s old: it may be on its way/,
      );
      assert.equal(cluster.memory.stored()["one"], (goal as { keyId: string }).keyId);
    });

    it("the right to use the key of a private vault is old or not there at all => AKS is asked twice, and no more", async () => {
      const vault = await aks.vault("Private", [roles.keyVaultContributor]);
      const goal = privately(await vault.key("k1"), vault);
      const { legs, thrown } = await drive(await aks.cluster(), goal, { vault });
      assert.match(String(thrown), /2 tries: .*ForbiddenByRbac/s);
      assert.equal(legs.filter((leg) => leg === "set legacy").length, 2);
    });

    it("what whoever runs Pulumi lacks comes under the same code => not waited for", async () => {
      const cluster = await aks.cluster();
      const keyId = await (await aks.vault()).key("k1");
      aks.fake.arm.failNext(
        new ArmError(403, "LinkedAuthorizationFailed", "The client 'deployer' may not do it with what is linked."),
        ({ method, path }) => method === "PUT" && path === cluster.id,
      );
      const { thrown } = await drive(cluster, publicly(keyId), { target: cluster.target(undefined, 60_000) });
      assert.match(String(thrown), /LinkedAuthorizationFailed/);
    });

    it("the cluster is stopped => refused with what starts it, and nothing is sent", async () => {
      const cluster = await aks.cluster();
      const keyId = await (await aks.vault()).key("k1");
      await aks.arm.ask("POST", `${cluster.id}/stop`, stableApiVersion);
      await aks.fake.arm.operations.settle();
      const { legs, thrown } = await drive(cluster, publicly(keyId));
      assert.match(describeError(thrown), /the cluster is stopped.*az aks start/s);
      assert.deepEqual(legs, []);
      await aks.arm.ask("POST", `${cluster.id}/start`, stableApiVersion);
      await aks.fake.arm.operations.settle();
      assert.equal((await drive(cluster, publicly(keyId))).thrown, undefined);
    });

    it("AKS is at work without an end => what it does and for how long, and an error when the time is over", async () => {
      const keyId = await (await aks.vault()).key("k1");
      const cluster = await aks.cluster();
      aks.fake.arm.operations.durationMs = 2_000;
      const { body } = await aks.arm.ask("GET", cluster.id, stableApiVersion);
      await aks.arm.ask("PUT", cluster.id, stableApiVersion, { body: { ...body, tags: { team: "other" } } });
      aks.fake.arm.operations.durationMs = 0;
      const { thrown, events } = await drive(cluster, publicly(keyId), { limits: { ...limits, busyMs: 200 } });
      assert.match(describeError(thrown), /at work on the cluster \(Updating\), and 0 s are over.*operation-abort/);
      assert.match(events.map(({ message }) => message).join(), /\(Updating\): waiting, 0 of at most 0 s/);
    });

    it("our own operation does not end => an error that names it, and the next run goes on", async () => {
      const keyId = await (await aks.vault()).key("k1");
      const cluster = await aks.cluster();
      const target = cluster.target();
      const impatient = managedCluster(aks.client, cluster.id, { spreadMs: 100, pauseMs: 20, busyMs: 200 });
      aks.fake.arm.operations.durationMs = 2_000;
      const stuck = await drive(cluster, publicly(keyId), { target: { ...target, cluster: impatient } });
      aks.fake.arm.operations.durationMs = 0;
      assert.match(String(stuck.thrown), /what was asked of .* has not ended, and 0 s are over/);
      const { thrown } = await drive(cluster, publicly(keyId));
      assert.deepEqual([thrown, await cluster.state()], [undefined, "Succeeded"]);
    });

    it("ARM refuses at once => its words, what to do, and nothing else happens", async () => {
      const cluster = await aks.cluster();
      const keyId = await (await aks.vault()).key("k1");
      aks.fake.arm.failNext(
        new ArmError(403, "AuthorizationFailed", "You may not."),
        ({ method, path }) => method === "PUT" && path === cluster.id,
      );
      const { legs, thrown } = await drive(cluster, publicly(keyId));
      assert.match(describeError(thrown), /AuthorizationFailed: You may not.*; grant who runs Pulumi a role/);
      assert.deepEqual([legs, await cluster.state()], [["rewrite", "set legacy"], "Succeeded"]);
    });

    it("another operation is under way => waited for; what it changed stays", async () => {
      const keyId = await (await aks.vault()).key("k1");
      const cluster = await aks.cluster();
      aks.fake.arm.operations.durationMs = 400;
      const { body } = await aks.arm.ask("GET", cluster.id, stableApiVersion);
      await aks.arm.ask("PUT", cluster.id, stableApiVersion, { body: { ...body, tags: { team: "other" } } });
      const { thrown, events } = await drive(cluster, publicly(keyId));
      aks.fake.arm.operations.durationMs = 0;
      assert.equal(thrown, undefined);
      assert.match(events.map(({ message }) => message).join(), /AKS is at work on the cluster \(Updating\)/);
      assert.deepEqual((await aks.arm.ask("GET", cluster.id, stableApiVersion)).body["tags"], { team: "other" });
    });

    it("somebody sets another key between look and PUT => nothing is sent, because a key would be pushed out", async () => {
      const vault = await aks.vault();
      const [first, second, theirs] = [await vault.key("k1"), await vault.key("k2"), await vault.key("k3")];
      const cluster = await clusterUnder(publicly(first));
      const interfere = cluster.target().cluster;
      const never = new AbortController().signal;
      const target = cluster.target();
      const { thrown } = await drive(cluster, publicly(second), {
        target: {
          ...target,
          cluster: {
            ...target.cluster,
            async set(change, ...rest) {
              await interfere.set({ to: publicly(theirs) }, never, () => undefined);
              await target.cluster.set(change, ...rest);
            },
          },
        },
      });
      assert.match(String(thrown), /somebody else has changed the KMS settings/);
      assert.equal(cluster.memory.window.write === "identity", false);
      const again = await drive(cluster, publicly(second));
      assert.equal(again.thrown, undefined);
      assert.equal(cluster.memory.stored()["one"], second);
    });

    it("an ETag that is no longer the cluster's => read again, merged again, and theirs is kept", async () => {
      const keyId = await (await aks.vault()).key("k1");
      const cluster = await aks.cluster();
      aks.fake.arm.failNext(
        new ArmError(412, "PreconditionFailed", "The ETag is another."),
        ({ method, path }) => method === "PUT" && path === cluster.id,
        2,
      );
      assert.equal((await drive(cluster, publicly(keyId))).thrown, undefined);
    });

    it("killed at any point and run again => the same end, and never a Secret that can't be read", async () => {
      const vault = await aks.vault();
      const other = await aks.vault("Private", [roles.keyVaultCryptoUser, roles.keyVaultContributor]);
      const [first, second] = [await vault.key("k1"), await other.key("k2")];
      for (let point = 1; point <= 9; point += 1) {
        const cluster = await clusterUnder(publicly(first));
        const stop = new AbortController();
        let seen = 0;
        const killed = await drive(cluster, privately(second, other), {
          provenBefore: publicly(first),
          signal: stop.signal,
          onEvent: () => {
            seen += 1;
            if (seen === point) stop.abort();
          },
        });
        if (killed.thrown !== undefined) assert.match(String(killed.thrown), /stopped|aborted/);
        cluster.memory.writeSecret(`after-${point}`);
        const { thrown } = await drive(cluster, privately(second, other), { provenBefore: publicly(first) });
        assert.equal(thrown, undefined);
        assert.deepEqual(new Set(Object.values(cluster.memory.stored())), new Set([second]), `killed at ${point}`);
      }
    });
  });
});

import assert from "node:assert/strict";
import { typeTokens } from "../../../core/type-tokens";
import { isObject, type Properties, unknown } from "../../../provider/property-values";
import { stableApiVersion } from "../../../rotation/adapters/aks/kms-settings";
import { ArmError } from "../../fakes/arm/arm-error";
import { roles } from "../../fakes/arm/roles";
import { type JsonObject, textAt } from "../../fakes/arm/shape";
import type { TestCluster } from "../../rotation/adapters/aks/aks-side";
import { type AksStack, aksLimits, aksStack } from "../support/aks-stack";
import { nonconforming } from "../support/schema-conformance";

describe("AksKmsSettings over a real gRPC socket, with the real engine on the fake ARM", function () {
  this.timeout(120_000);
  let aks: AksStack["aks"];
  let side: AksStack["side"];
  let stack: AksStack["stack"];
  const clusters = new Map<string, TestCluster>();

  aksStack(clusters, (made) => {
    ({ aks, side, stack } = made);
  });

  async function cluster(properties?: JsonObject): Promise<TestCluster> {
    const made = await aks.cluster(properties);
    for (const name of ["one", "two"]) made.memory.writeSecret(name);
    clusters.set(made.id, made);
    return made;
  }
  const wanted = ({ id }: TestCluster, keyVersion: number, keyId: string, more: Properties = {}): Properties => ({
    clusterId: id,
    keyId,
    keyVersion,
    limits: aksLimits,
    ...more,
  });
  const planOf = (inputs: Properties | undefined) => (inputs?.["plan"] as string[] | undefined)?.join("\n") ?? "";
  const evidenceOf = (): Properties => {
    const evidence = stack.state()?.outputs["evidence"];
    return evidence !== undefined && isObject(evidence) ? evidence : {};
  };

  it("preview => each step with the number of Secrets, planned rows, and nothing changed; a key that is not made yet is fine", async () => {
    const made = await cluster();
    const puts = () => aks.fake.azure.requests.filter(({ method }) => method === "PUT").length;
    const before = puts();
    const { inputs, outputs } = await stack.preview(wanted(made, 1, "", { keyId: unknown }));
    assert.match(
      planOf(inputs),
      /^1\. Rewrite: 2 Secrets .*in plaintext.*\n2\. Set: the KMS plugin with key version 1/,
    );
    assert.match(planOf(inputs), /3\. Rewrite: 2 Secrets written again under key version 1/);
    assert.deepEqual([outputs["atGoal"], outputs["evidence"]], [true, unknown]);
    const rows = side.published.map(({ name, outputs: row }) => [name, row["result"]]);
    assert.deepEqual(
      rows,
      ["1-rewrite", "2-set", "3-rewrite"].map((name) => [name, "planned"]),
    );
    assert.equal(puts(), before);
    assert.match(side.warnings.join("\n"), /not known before the update: keyId/);
  });

  it("up => encrypted, with evidence that says what was seen; again => the same; outputs are what the schema says", async () => {
    const made = await cluster();
    const vault = await aks.vault();
    const keyId = await vault.key("k1");
    const inputs = wanted(made, 1, keyId, { vaultId: vault.id });
    assert.deepEqual(await stack.up(inputs), { op: "create", failure: undefined });
    const outputs = stack.state()?.outputs ?? {};
    assert.deepEqual(nonconforming(typeTokens.aksKmsSettings, outputs), []);
    assert.equal(outputs["activeKeyVersion"], 1);
    const evidence = evidenceOf();
    assert.deepEqual([evidence["method"], evidence["complete"]], ["api", true]);
    assert.match(
      JSON.stringify(evidence["discovery"]),
      /all 2 Secrets .* is ARM's word; there is no way to the etcd of AKS/s,
    );
    assert.deepEqual((await stack.preview(inputs)).op, "same");
    assert.deepEqual(await stack.up(inputs), { op: "same", failure: undefined });
    assert.deepEqual(evidenceOf(), evidence);
  });

  it("rotate twice, turn off => rows of each change alone, and a warning that the key is still needed", async () => {
    const made = await cluster();
    const vault = await aks.vault();
    for (const version of [1, 2, 3]) {
      await stack.up(wanted(made, version, await vault.key(`k${version}`)));
      assert.equal(stack.state()?.outputs["activeKeyVersion"], version);
    }
    assert.deepEqual([...side.oldViews.keys()], ["1-rewrite", "2-set", "3-rewrite"]);
    const third = await vault.key("k3");
    await stack.up(wanted(made, 3, third, { enabled: false }));
    assert.equal(stack.state()?.outputs["activeKeyVersion"], 0);
    assert.deepEqual(made.memory.stored(), { one: "identity", two: "identity" });
    assert.match(side.warnings.join("\n"), /still need .*\/k3\/.*rule K3/s);
  });

  it("the vault becomes private => six steps in one update, and the preview says that Secrets are plaintext meanwhile", async () => {
    const made = await cluster();
    const vault = await aks.vault();
    const keyId = await vault.key("k1");
    const own = { vaultId: vault.id, ownsVaultNetwork: true };
    await stack.up(wanted(made, 1, keyId, own));
    const closed = wanted(made, 1, keyId, { ...own, vaultNetworkAccess: "Private" });
    const { inputs } = await stack.preview(closed);
    assert.deepEqual(
      (inputs["plan"] as string[]).map((line) => line.split(":")[0]),
      ["1. Rewrite", "2. Set", "3. Rewrite", "4. Vault", "5. Set", "6. Rewrite"],
    );
    assert.match(side.warnings.join("\n"), /new Secrets are stored in plaintext until/);
    assert.equal((await stack.up(closed)).failure, undefined);
    assert.equal(await vault.network(), "Disabled");
    assert.equal((await stack.preview(closed)).op, "same");
  });

  it("platform-managed keys => no keyVersion, and evidence that claims nothing", async () => {
    const made = await cluster();
    const inputs = { clusterId: made.id, mode: "PlatformManagedKey", limits: aksLimits };
    await assert.rejects(stack.up({ ...inputs, keyVersion: 1 }), /keyVersion: is given, but the platform rotates/);
    await stack.up(inputs);
    assert.deepEqual([evidenceOf()["method"], evidenceOf()["complete"]], ["platform", false]);
    assert.deepEqual(nonconforming(typeTokens.aksKmsSettings, stack.state()?.outputs ?? null), []);
    assert.equal((await stack.preview(inputs)).op, "same");
    await assert.rejects(stack.preview({ ...inputs, enabled: false, mode: "KmsPlugin" }), /rule J4/);
  });

  it("somebody sets another key => the next preview says who has to leave it alone, and up sets it back", async () => {
    const made = await cluster();
    const vault = await aks.vault();
    const [first, second] = [await vault.key("k1"), await vault.key("k2")];
    const inputs = wanted(made, 1, first);
    await stack.up(inputs);
    const { body } = await aks.arm.ask("GET", made.id, stableApiVersion);
    const properties = body["properties"] as JsonObject;
    const azureKeyVaultKms = { enabled: true, keyId: second, keyVaultNetworkAccess: "Public" };
    const securityProfile = { ...(properties["securityProfile"] as JsonObject), azureKeyVaultKms };
    await aks.arm.put(made.id, stableApiVersion, { ...body, properties: { ...properties, securityProfile } });
    assert.equal((await stack.preview(inputs)).op, "update");
    assert.match(
      side.warnings.join("\n"),
      /somebody else sets them too.*ignoreChanges.*securityProfile\.azureKeyVaultKms/s,
    );
    assert.equal((await stack.up(inputs)).failure, undefined);
    assert.equal(made.memory.stored()["one"], first);
  });

  it("AKS can't do it => the reason and where the cluster is, and the next up goes on; destroy leaves the cluster as it is", async () => {
    const made = await cluster();
    const vault = await aks.vault();
    const late = await aks.vault("Public", []);
    const first = await vault.key("k1");
    const second = await late.key("k2");
    await stack.up(wanted(made, 1, first));
    const { failure } = await stack.up(wanted(made, 2, second));
    assert.match(
      failure ?? "",
      /AzureKeyVaultKmsValidateIdentityPermission.*back at the settings from before.*up again/s,
    );
    assert.deepEqual([stack.state()?.outputs["atGoal"], made.memory.stored()["one"]], [false, first]);
    aks.fake.arm.access.grant(aks.principalId, roles.keyVaultCryptoUser, late.id);
    assert.equal((await stack.up(wanted(made, 2, second))).failure, undefined);
    assert.equal(made.memory.stored()["one"], second);
    const { inputs = {}, outputs = {} } = stack.state() ?? {};
    await side.resource(typeTokens.aksKmsSettings).delete(inputs, outputs);
    assert.match(side.warnings.at(-1) ?? "", /keeps its KMS settings as they are/);
    assert.equal(made.memory.stored()["one"], second);
  });

  describe("the two keys that AKS holds", () => {
    const attributes = () => side.resource(typeTokens.azureKeyAttributes);
    const future = "2036-01-31T00:00:00Z";

    /** A cluster that was rotated from the first key to the second one, and a third key. */
    async function rotated() {
      const made = await cluster();
      const vault = await aks.vault();
      const keyIds = [await vault.key("k1"), await vault.key("k2"), await vault.key("k3")] as const;
      const inputs = (version: 1 | 2 | 3) => wanted(made, version, keyIds[version - 1] ?? "", { vaultId: vault.id });
      await stack.up(inputs(1));
      assert.equal(stack.state()?.outputs["previousKeyId"], undefined);
      await stack.up(inputs(2));
      assert.equal(stack.state()?.outputs["previousKeyId"], keyIds[0]);
      const data = aks.fake.arm.keyVaults.dataPlane(vault.id.split("/").at(-1) ?? "")?.keys;
      const version = (name: string) => data?.find(name, "") ?? assert.fail(`no key ${name}`);
      return { keyIds, inputs, version };
    }

    it("the one before has expired => said where nothing else is to change; a rotation is refused until it is extended", async () => {
      const { keyIds, inputs, version } = await rotated();
      version("k1").expires = Date.now() - 1_000;
      assert.equal((await stack.preview(inputs(2))).op, "same");
      assert.match(side.warnings.join("\n"), /has expired.*\(of .*\/k1\/.*, the other key that AKS holds.*rule G6/);
      await assert.rejects(stack.preview(inputs(3)), /has expired.*\/k1\/.*rule G6/);
      // The same update extends it, by a resource that comes before the cluster's.
      assert.deepEqual((await attributes().check(undefined, { keyId: keyIds[0], expiresOn: future })).problems, []);
      assert.equal((await stack.preview(inputs(3))).op, "update");
    });

    it("the one before is disabled => a rotation is refused, and once it is enabled goes on; then it may go", async () => {
      const { keyIds, inputs, version } = await rotated();
      version("k1").enabled = false;
      await assert.rejects(stack.preview(inputs(3)), /is false, so nothing can encrypt.*\/k1\/.*rule G5/);
      version("k1").enabled = true;
      assert.equal((await stack.up(inputs(3))).failure, undefined);
      version("k1").enabled = false;
      side.warnings.length = 0;
      assert.equal((await stack.preview(inputs(3))).op, "same");
      assert.doesNotMatch(side.warnings.join("\n"), /k1/);
      assert.equal(stack.state()?.outputs["previousKeyId"], keyIds[1]);
    });

    it("AzureKeyAttributes disables one of them or lets it expire => refused, whichever resource is looked at first", async () => {
      const { keyIds, inputs } = await rotated();
      await stack.preview(inputs(2));
      for (const keyId of keyIds.slice(0, 2)) {
        const disabled = await attributes().check(undefined, { keyId, enabled: false });
        assert.match(disabled.problems.join(), /enabled: would disable .*rotate first, and twice.*rule L2/);
        const expired = await attributes().check(undefined, { keyId, expiresOn: "2026-01-01T00:00:00Z" });
        assert.match(expired.problems.join(), /expiresOn: is 2026-01-01.*has expired.*rule G6/);
        await attributes().check(undefined, { keyId, enabled: true, expiresOn: future });
      }
      await attributes().check(undefined, { keyId: keyIds[0], enabled: false });
      await assert.rejects(stack.preview(inputs(2)), /would disable .*\/k1\/.*rule L2/);
      await attributes().check(undefined, { keyId: keyIds[0], enabled: true });
      await attributes().check(undefined, { keyId: keyIds[1], enabled: false });
      await assert.rejects(stack.preview(inputs(2)), /rule G5.*rule L2|rule L2.*rule G5/s);
    });

    it("AzureKeyAttributes disables a key that nothing here is known to hold => said in the preview, and done", async () => {
      const { keyIds, inputs } = await rotated();
      await stack.preview(inputs(2));
      side.warnings.length = 0;
      const wantedOff = { keyId: keyIds[2], enabled: false, expiresOn: "2026-01-01T00:00:00Z" };
      assert.deepEqual((await attributes().check(undefined, wantedOff)).problems, []);
      assert.match(side.warnings.join("\n"), /\/k3\/.* is going to be disabled.*\n.*has expired.*rule G6/);
      side.warnings.length = 0;
      await attributes().check(wantedOff, wantedOff);
      assert.deepEqual(side.warnings, []);
    });
  });

  describe("what preview refuses", () => {
    const key = `https://aksvault.vault.azure.net/keys/k1/${"0".repeat(32)}`;
    const inputs: readonly (readonly [string, Properties, RegExp])[] = [
      ["no cluster", { keyId: key }, /clusterId: is missing/],
      ["a cluster's name", { clusterId: "aks", keyId: key }, /clusterId: is "aks"; write what `az aks show/],
      ["no key", {}, /keyId: is missing, and encryption is on.*K4/],
      ["a key without its version", { keyId: key.replace(/\/0*$/, "") }, /keyId: names no version.*rule A2/],
      ["a secret", { keyId: key.replace("/keys/", "/secrets/") }, /keyId: is in the vault's secrets.*A4/],
      ["a private vault without its id", { keyId: key, vaultNetworkAccess: "Private" }, /vaultId: is missing.*B1/],
      ["a mode that there is not", { keyId: key, mode: "Legacy" }, /mode: is "Legacy"; write one of KmsPlugin/],
      ["a path for a kubeconfig", { keyId: key, kubernetes: { kubeconfig: 3 } }, /kubernetes\.kubeconfig: is no text/],
      ["a misspelt limit", { keyId: key, limits: { apiSecond: 3 } }, /limits\.apiSecond: is not an input/],
    ];
    for (const [name, more, reason] of inputs) {
      it(`${name} => an error at the input`, async () => {
        const id = `/subscriptions/${aks.fake.subscriptionId}/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/a`;
        await assert.rejects(stack.preview({ clusterId: name === "no cluster" ? null : id, ...more }), reason);
      });
    }

    it("what only Azure knows: no such cluster, a system-assigned identity, an old version, an EC key, an expired one", async () => {
      const made = await cluster();
      const vault = await aks.vault();
      const keyId = await vault.key("k1");
      const vaultId = vault.id;
      const none = made.id.replace(/[^/]*$/, "none");
      await assert.rejects(
        stack.preview({ clusterId: none, keyId, limits: aksLimits }),
        /clusterId: there is no cluster .*none/,
      );
      const system = await cluster({ kubernetesVersion: "1.30" });
      const { body } = await aks.arm.ask("GET", system.id, stableApiVersion);
      await aks.arm.put(system.id, stableApiVersion, { ...body, identity: { type: "SystemAssigned" } });
      await assert.rejects(stack.preview(wanted(system, 1, keyId)), /clusterId: is SystemAssigned.*rule C1/);
      await assert.rejects(
        stack.preview({ clusterId: system.id, mode: "PlatformManagedKey", limits: aksLimits }),
        /clusterId: is 1\.30.*needs 1\.33 or newer.*rule J1/,
      );
      for (const [name, properties, reason] of [
        ["ec", { kty: "EC" }, /keyId: is EC.*rule G1/],
        ["old", { kty: "RSA", attributes: { exp: 1 } }, /keyId: is 1970.*expired.*rule G6/],
        ["off", { kty: "RSA", attributes: { enabled: false } }, /keyId: is false.*rule G5/],
      ] as const) {
        const { body: key } = await aks.arm.put(`${vaultId}/keys/${name}`, "2026-02-01", { properties });
        const uri = textAt(key, "properties", "keyUriWithVersion");
        await assert.rejects(stack.preview(wanted(made, 1, uri, { vaultId })), reason);
      }
    });

    it("of a cluster that is made by the same update: its vault and its key; what only the cluster shows is listed", async () => {
      const later: Properties = { clusterId: unknown, keyVersion: 1, limits: aksLimits, vaultNetworkAccess: "Private" };
      const vault = await aks.vault("Private");
      const keyId = await vault.key("k1");
      const inputs: Properties = { ...later, keyId, vaultId: vault.id };
      assert.equal((await stack.preview(inputs)).op, "create");
      const said = side.warnings.join("\n");
      assert.match(said, /the cluster is not known before the update/);
      assert.match(said, /not known before the update: clusterId.*rules .*C1.*D1r.*J1/);
      for (const [name, properties, reason] of [
        ["ec", { kty: "EC" }, /keyId: is EC.*rule G1/],
        ["old", { kty: "RSA", attributes: { exp: 1 } }, /keyId: is 1970.*expired.*rule G6/],
      ] as const) {
        const { body: key } = await aks.arm.put(`${vault.id}/keys/${name}`, "2026-02-01", { properties });
        const uri = textAt(key, "properties", "keyUriWithVersion");
        await assert.rejects(stack.preview({ ...inputs, keyId: uri }), reason);
      }
      side.warnings.length = 0;
      assert.equal((await stack.preview({ ...inputs, keyId: unknown, vaultId: unknown })).op, "create");
      assert.match(side.warnings.join("\n"), /not checked: the vault is not known.*\(rules .*G1/);
      aks.fake.arm.failNext(
        new ArmError(403, "AuthorizationFailed", "You may not read it."),
        ({ path }) => path === vault.id,
        1,
      );
      side.warnings.length = 0;
      assert.equal((await stack.preview(inputs)).op, "create");
      assert.match(side.warnings.join("\n"), /the vault could not be looked at .*You may not read it/);
    });

    it("encryption comes with another identity, or the vault's other way to grant access => refused", async () => {
      const made = await cluster();
      const vault = await aks.vault();
      const inputs = wanted(made, 1, await vault.key("k1"), { vaultId: vault.id, authorization: "Rbac" });
      const group = made.id.split("/providers/")[0] ?? "";
      const identityId = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/other`;
      await assert.rejects(stack.preview({ ...inputs, identityId }), /identityId: changes the cluster's identity.*C3/);
      const own = identityId.replace("/other", "/kms");
      assert.equal((await stack.up({ ...inputs, identityId: own })).failure, undefined);
      await assert.rejects(
        stack.preview({ ...inputs, authorization: "AccessPolicies" }),
        /authorization: changes how the vault grants access while a cluster uses it.*rule H5/,
      );
      // The key is in another vault than the one that is named, about which the inputs say nothing.
      const named = (await aks.vault()).id;
      assert.equal((await stack.preview({ ...inputs, vaultId: named, authorization: "AccessPolicies" })).op, "update");
    });

    it("the grants move to another vault while AKS holds a key in the earlier one => refused; private vaults, key by key => there", async () => {
      const made = await cluster();
      const [first, second] = [await aks.vault("Private"), await aks.vault("Private")];
      const keyIds = [await first.key("k1"), await second.key("k2"), await second.key("k3")] as const;
      const identityId = `${made.id.split("/providers/")[0]}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kms`;
      const step = (version: 1 | 2 | 3, vault: { readonly id: string }, more: Properties) =>
        wanted(made, version, keyIds[version - 1] ?? "", {
          ...{ vaultId: vault.id, identityId, vaultNetworkAccess: "Private", ...more },
        });
      const granting = { authorization: "Rbac" };
      assert.equal((await stack.up(step(1, first, granting))).failure, undefined);
      await assert.rejects(
        stack.preview(step(2, second, granting)),
        /vaultId: names another vault.*AKS still holds .*k1/,
      );
      assert.equal((await stack.up(step(2, second, {}))).failure, undefined);
      assert.deepEqual(made.memory.stored(), { one: keyIds[1], two: keyIds[1] });
      assert.equal((await stack.up(step(3, second, {}))).failure, undefined);
      assert.deepEqual(made.memory.stored(), { one: keyIds[2], two: keyIds[2] });
    });

    it("what may be right all the same => said: a role at a key, no way to the API servers, KMS v1, the older feature on a new version", async () => {
      const vault = await aks.vault("Public", []);
      const keyId = await vault.key("k1");
      await aks.assign(roles.keyVaultCryptoUser, `${vault.id}/keys/k1`);
      const apiServerAccessProfile = { enablePrivateCluster: true, disableRunCommand: true };
      const hidden = await cluster({ apiServerAccessProfile });
      hidden.away(9);
      await stack.preview(wanted(hidden, 1, keyId, { vaultId: vault.id }));
      const said = side.warnings.join("\n");
      assert.match(said, /is one key of the vault.*assign the role at the vault.*rule I5/);
      assert.match(said, /leaves no way to the API server of a private cluster.*rule M3/);
      assert.match(said, /recommends KMS data encryption.*rule J7/);
      assert.match(said, /not checked: .*rules D4r, D5r, M1.*D7r.*J8.*L3/);
      const old = await cluster({ kubernetesVersion: "1.26" });
      const granted = await aks.vault();
      const inputs = wanted(old, 1, await granted.key("k1"), { vaultId: granted.id });
      assert.equal((await stack.up(inputs)).failure, undefined);
      await stack.preview(inputs);
      assert.match(side.warnings.join("\n"), /is 1\.26.*through KMS v1, and it will refuse the upgrade.*rule J2/);
    });

    it("the vault may not be looked at => said, with the rules that were not checked for it", async () => {
      const made = await cluster();
      const vault = await aks.vault();
      const keyId = await vault.key("k1");
      const refusal = new ArmError(403, "AuthorizationFailed", "You may not read it.");
      aks.fake.arm.failNext(refusal, ({ path }) => path === vault.id, 1);
      assert.equal((await stack.preview(wanted(made, 1, keyId, { vaultId: vault.id }))).op, "create");
      assert.match(
        side.warnings.join("\n"),
        /not checked: the vault could not be looked at \(rules .*F1, F2.*H5.*\): .*You may not read it/,
      );
      const elsewhere = keyId.replace(/\/\/[^.]*/, "//someone-elses");
      await stack.preview(wanted(made, 1, elsewhere));
      assert.match(side.warnings.join("\n"), /not checked: the vault is not known.*\(rules .*I1.*G5, G6/);
    });

    it("nobody lets us look => said, and not refused; the update fails with the reason and changes nothing", async () => {
      const made = await cluster();
      const keyId = await (await aks.vault()).key("k1");
      const reader = new ArmError(403, "AuthorizationFailed", "You may not read it.");
      aks.fake.arm.failNext(reader, ({ path }) => path === made.id, 1);
      assert.equal((await stack.preview(wanted(made, 1, keyId))).op, "create");
      assert.match(side.warnings.join("\n"), /was not looked at, so no step is planned: .*You may not read it/);
      aks.fake.arm.failNext(reader, ({ path }) => path === made.id, 20);
      const { failure } = await stack.up(wanted(made, 1, keyId));
      assert.match(failure ?? "", /You may not read it/);
      assert.deepEqual(made.memory.stored(), { one: "identity", two: "identity" });
    });

    it("an identity with roles of which none lets it use the key => said; with one that is not known here => said that nobody checked", async () => {
      const made = await cluster();
      const vault = await aks.vault("Public", []);
      const inputs = wanted(made, 1, await vault.key("k1"), { vaultId: vault.id });
      await aks.assign(roles.contributor, vault.id);
      await stack.preview(inputs);
      assert.match(side.warnings.join("\n"), /clusterId leaves out Key Vault Crypto User.*rule I1/);
      side.warnings.length = 0;
      await aks.assign(roles.monitoringContributor, vault.id);
      await stack.preview(inputs);
      const said = side.warnings.join("\n");
      assert.match(
        said,
        /not checked: what the cluster's identity may do.*749f88d5-cbae-40b8-bcfc-e573ddc772fa \(rules I1\)/,
      );
      assert.doesNotMatch(said, /leaves out/);
      side.warnings.length = 0;
      await aks.assign(roles.keyVaultCryptoUser, vault.id);
      await stack.preview(inputs);
      assert.doesNotMatch(side.warnings.join("\n"), /leaves out|may do with the vault/);
    });

    it("a private cluster that runs no commands, and nothing to rewrite => nothing is said of a way to it", async () => {
      const vault = await aks.vault();
      const made = await cluster({ apiServerAccessProfile: { enablePrivateCluster: true, disableRunCommand: true } });
      const inputs = wanted(made, 1, await vault.key("k1"), { vaultId: vault.id });
      assert.equal((await stack.up(inputs)).failure, undefined);
      side.warnings.length = 0;
      assert.equal((await stack.preview(inputs)).op, "same");
      assert.doesNotMatch(side.warnings.join("\n"), /rule M3/);
    });

    it("an identity without its role => said, and not refused, because the update may grant it", async () => {
      const made = await cluster();
      const vault = await aks.vault("Public", []);
      await stack.preview(wanted(made, 1, await vault.key("k1"), { vaultId: vault.id }));
      assert.match(side.warnings.join("\n"), /clusterId leaves out Key Vault Crypto User.*rule I1/);
    });
  });
});

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { typeTokens } from "../../../core/type-tokens";
import { unknown } from "../../../provider/property-values";
import { type AzureSide, azureSide } from "./azure-side";

describe("the provider's resources for Azure, with the real SDKs, over sockets", function () {
  this.timeout(20_000);
  let side: AzureSide;

  beforeEach(async () => {
    side = await azureSide();
  });
  afterEach(() => side.close());

  const requestsOf = (method: string) => side.azure.requests.filter((request) => request.method === method);

  describe("AzureKeyAttributes", () => {
    const attributes = () => side.resource(typeTokens.azureKeyAttributes);
    const expiresOn = "2036-01-31T00:00:00.000Z";

    it("enabled and expiry => set on that version alone; again => nothing is sent; the version before stays as it is", async () => {
      side.grant();
      const before = side.vault.keys.add({ name: "etcd" });
      const { kid: keyId } = side.vault.keys.add({ name: "etcd" });
      const inputs = { keyId, enabled: false, expiresOn };
      const { outputs } = await attributes().create(inputs);
      const { createdAt, ...attributesSet } = outputs;
      assert.deepEqual(attributesSet, inputs);
      assert.ok(typeof createdAt === "string" && Math.abs(Date.parse(createdAt) - Date.now()) < 60_000);
      const version = side.vault.keys.find("etcd", "");
      assert.deepEqual([version?.enabled, version?.expires], [false, Date.parse(expiresOn)]);
      assert.deepEqual([before.enabled, before.expires], [true, undefined]);
      assert.match(side.warnings.join(), /is disabled: nothing that only this version can decrypt/);
      const patches = requestsOf("PATCH").length;
      assert.deepEqual(await attributes().update(inputs, outputs, inputs), outputs);
      assert.equal(requestsOf("PATCH").length, patches);
    });

    it("a version that was disabled and has expired => enabled and extended through the vault, and a preview says nothing against it", async () => {
      side.grant();
      const key = side.vault.keys.add({ name: "etcd" });
      Object.assign(key, { enabled: false, expires: Date.now() - 1_000 });
      const inputs = { keyId: key.kid, enabled: true, expiresOn };
      assert.deepEqual((await attributes().check(undefined, inputs)).problems, []);
      assert.deepEqual(side.warnings, []);
      await attributes().create(inputs);
      assert.deepEqual([key.enabled, key.expires], [true, Date.parse(expiresOn)]);
    });

    it("preview => what will be, and no request; what is not asked for is not known", async () => {
      const { kid: keyId } = side.vault.keys.add({ name: "etcd" });
      const { outputs } = await attributes().create({ keyId, expiresOn: "2036-01-31T01:00:00+01:00" }, true);
      assert.deepEqual(outputs, { keyId, enabled: unknown, expiresOn, createdAt: unknown });
      assert.deepEqual(side.azure.requests, []);
    });

    it("somebody enables the version by hand => refresh sees it, diff shows it, update sets it back", async () => {
      side.grant();
      const key = side.vault.keys.add({ name: "etcd" });
      const inputs = { keyId: key.kid, enabled: false };
      const { outputs } = await attributes().create(inputs);
      key.enabled = true;
      const seen = await attributes().read(inputs, outputs);
      assert.equal(seen.outputs["enabled"], true);
      assert.deepEqual((await attributes().diff(inputs, seen.outputs, inputs)).names, ["enabled"]);
      await attributes().update(inputs, seen.outputs, inputs);
      assert.equal(key.enabled, false);
      assert.deepEqual((await attributes().diff(inputs, outputs, inputs)).some, false);
    });

    it("an expiry that is written another way => no difference; a later one => an update, and a near one is warned about", async () => {
      side.grant();
      const { kid: keyId } = side.vault.keys.add({ name: "etcd" });
      const { outputs } = await attributes().create({ keyId, expiresOn });
      const sameMoment = { keyId, expiresOn: "2036-01-31T00:00:00Z" };
      assert.deepEqual((await attributes().diff(sameMoment, outputs, sameMoment)).some, false);
      const soon = new Date(Date.now() + 10 * 86_400_000).toISOString();
      await attributes().update(sameMoment, outputs, { keyId, expiresOn: soon });
      assert.match(side.warnings.join(), /in 9 days.*extend the key's expiry.*rule G6/);
    });

    it("delete => the version stays as it is, and a disabled one is mentioned", async () => {
      side.grant();
      const key = side.vault.keys.add({ name: "etcd" });
      const inputs = { keyId: key.kid, enabled: false };
      const { outputs } = await attributes().create(inputs);
      await attributes().delete(inputs, outputs);
      assert.equal(key.enabled, false);
      assert.match(side.warnings.join(), /stays disabled/);
    });

    it("no grant => refused with the role to grant; refresh goes on with a warning", async () => {
      const { kid: keyId } = side.vault.keys.add({ name: "etcd" });
      await assert.rejects(
        attributes().create({ keyId, enabled: false }),
        /we have no role for its keys; grant Key Vault Crypto Officer/,
      );
      const outputs = { keyId, enabled: true };
      assert.deepEqual((await attributes().read({ keyId }, outputs)).outputs, outputs);
      assert.match(side.warnings.join(), /could not be seen/);
    });

    it("a version that is not there => says so; a vault behind a firewall => says that it is the network", async () => {
      side.grant();
      const keyId = `https://my-vault.vault.azure.net/keys/etcd/${"0".repeat(32)}`;
      await assert.rejects(attributes().create({ keyId }), /there is no key version .*az keyvault key list-versions/);
      side.vault.networkRule = "ForbiddenByFirewall";
      await assert.rejects(attributes().create({ keyId }), /its firewall does not let this machine in/);
    });

    it("an expiry behind 2038, which the SDK would send as 1903 => refused", async () => {
      const { problems } = await attributes().check(undefined, { keyId: unknown, expiresOn: "2038-01-19T03:14:08Z" });
      assert.match(problems.join(), /^expiresOn: .*a date in the past; write 2038-01-19T03:14:07Z at the latest/);
    });

    it("wrong inputs => a problem at each property; no secret in any message", async () => {
      const wrong = { keyId: "etcd", enabled: "no", expiresOn: "tomorrow", expires: 1 };
      const { problems } = await attributes().check(undefined, wrong);
      assert.deepEqual(problems.map((problem) => problem.split(":")[0]).sort(), [
        "enabled",
        "expires",
        "expiresOn",
        "keyId",
      ]);
      assert.ok(!JSON.stringify([side.warnings, side.progress]).includes("a-secret"));
    });
  });

  describe("AzureVaultAccess", () => {
    const access = () => side.resource(typeTokens.azureVaultAccess);
    const vaultUri = "https://my-vault.vault.azure.net/";

    it("the grant arrives late => it waits for exactly that, and says so meanwhile", async () => {
      let done = false;
      const made = access()
        .create({ vaultUri })
        .then((result) => {
          done = true;
          return result;
        });
      while (side.progress.length < 2) await sleep(20);
      assert.equal(done, false);
      side.grant();
      assert.deepEqual((await made).outputs, { vaultUri });
      assert.match(side.progress[0] ?? "", /waiting for access to https:\/\/my-vault/);
    });

    it("the grant never arrives => it ends with the role to grant when its time is over", async () => {
      await assert.rejects(access().create({ vaultUri, timeoutSeconds: 0.2 }), /grant Key Vault Crypto Officer/);
    });

    it("^C while it waits => it stops", async () => {
      const made = access().create({ vaultUri });
      const stopped = assert.rejects(made, /stopped while waiting/);
      while (side.progress.length === 0) await sleep(20);
      await side.cancel();
      await stopped;
    });

    it("preview => nothing is asked; another limit => no change; another vault => a change", async () => {
      assert.deepEqual((await access().create({ vaultUri }, true)).outputs, { vaultUri });
      assert.deepEqual(side.azure.requests, []);
      const diff = (news: Record<string, string | number>) => access().diff({ vaultUri }, { vaultUri }, news);
      assert.equal((await diff({ vaultUri, timeoutSeconds: 5 })).some, false);
      assert.equal((await diff({ vaultUri: "https://other.vault.azure.net/" })).some, true);
    });
  });

  describe("AzurePrincipal", () => {
    const principal = () => side.resource(typeTokens.azurePrincipal);
    const objectId = "11111111-0000-4000-8000-000000000001";
    const clientId = "22222222-0000-4000-8000-000000000002";

    beforeEach(() => {
      side.principals.push({ id: objectId, appId: clientId, displayName: "the cluster" });
    });

    it("an object id => its name", async () => {
      const { outputs } = await principal().create({ objectId, kind: "ServicePrincipal" });
      assert.deepEqual(outputs, { objectId, displayName: "the cluster" });
    });

    it("a client id => refused in the preview already, with the object id that belongs to it", async () => {
      for (const preview of [true, false]) {
        await assert.rejects(
          principal().create({ objectId: clientId }, preview),
          new RegExp(`client id of the application "the cluster".*write ${objectId}`),
        );
      }
    });

    it("an id of nobody => refused, with the command that prints the right one", async () => {
      const nobody = "33333333-0000-4000-8000-000000000003";
      await assert.rejects(principal().create({ objectId: nobody }, true), /has no ServicePrincipal.*az ad sp show/);
    });

    it("Graph does not let us ask => a warning, and the id is taken as it is", async () => {
      side.graph.status = 403;
      assert.deepEqual((await principal().create({ objectId })).outputs, { objectId });
      assert.match(side.warnings.join(), /could not be checked: Microsoft Graph does not let us ask/);
    });

    it("what is no id, or no kind => a problem at the property", async () => {
      assert.deepEqual(
        (await principal().check(undefined, { objectId: "the cluster", kind: "Robot" })).problems.map(
          (text) => text.split(":")[0],
        ),
        ["objectId", "kind"],
      );
    });
  });
});

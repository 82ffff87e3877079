import assert from "node:assert/strict";
import { assertAllThere, underClients } from "../e2e/support/disturbed-rotation";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { type CloudKeys, cloudKeys } from "./support/cloud-keys";

/** Our plugin with keys in two Key Vaults and in AWS KMS, behind real API servers. The old key is gone for good after each move. */
describe("the write key moves from a local file to a vault, to another vault, to AWS KMS, and back", function () {
  this.timeout(15 * 60_000);
  let cluster: RealCluster;
  let cloud: CloudKeys;

  before(async () => {
    cloud = await cloudKeys();
    cluster = await realCluster({ automaticReload: false, hosts: 2, pluginSettings: await cloud.pluginSettings() });
    await cluster.createSecrets(100);
  });
  after(async () => {
    await cluster.close();
    await cloud.close();
  });

  async function move(to: number, keyId: RegExp): Promise<void> {
    await underClients(cluster, [], async () => {
      const outcome = await cluster.rotate(to);
      assert.equal(outcome.kind, "done", outcome.reason);
      const [secrets] = outcome.evidence.resources;
      const keyIds = secrets?.keys.map((key) => key.keyId ?? "") ?? [];
      assert.equal(keyIds.length, 1);
      assert.match(keyIds.join(), keyId);
    });
    await assertAllThere(cluster, to);
  }

  it("from plaintext to a local key", () => move(1, /^local-[0-9a-f]{32}$/));

  it("to a Key Vault", async () => {
    cluster.useKey(2, cloud.azureKey("vault-one", "etcd"));
    await move(2, /^[0-9a-f]{64}$/);
  });

  it("to another vault, and the first one's key is disabled", async () => {
    cluster.useKey(3, cloud.azureKey("vault-two", "etcd"));
    await move(3, /^[0-9a-f]{64}$/);
    cloud.vaultKey("vault-one", "etcd").enabled = false;
    assert.notEqual(cluster.providerOf(3), cluster.providerOf(2), "another key has another name");
  });

  it("to AWS KMS, with an encryption context, and the second vault's key is disabled", async () => {
    const { reference, key } = cloud.awsKey();
    cluster.useKey(4, reference);
    await move(4, new RegExp(`^${key.arn}$`));
    cloud.vaultKey("vault-two", "etcd").enabled = false;
  });

  it("back to the local key, while a key in the way is denied => stops before any server uses it, then gets there", async () => {
    const { reference, key } = cloud.awsKey();
    key.denied.add("Decrypt");
    cluster.useKey(5, reference);
    const refused = await cluster.rotate(5, { limits: { ...cluster.goal(5).limits, plugin: 12_000 } });
    assert.equal(refused.kind, "blocked");
    assert.match(refused.reason ?? "", /denied access to the key/);
    assert.deepEqual(Object.keys(await cluster.storedProviders()), [cluster.providerOf(4)]);
    await move(1, /^local-[0-9a-f]{32}$/);
  });
});

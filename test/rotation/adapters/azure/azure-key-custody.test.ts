import assert from "node:assert/strict";
import type { AzureKeyReference } from "../../../../core/key-reference";
import { azureCloud } from "../../../../rotation/adapters/azure/azure-cloud";
import { azureKeyCustody } from "../../../../rotation/adapters/azure/azure-key-custody";
import { type AzureSide, azureSide } from "../../../provider/azure/azure-side";

describe("retiring versions of keys in Key Vault, with the real SDK, over sockets", function () {
  this.timeout(20_000);
  let side: AzureSide;
  const never = new AbortController().signal;

  beforeEach(async () => {
    side = await azureSide();
  });
  afterEach(() => side.close());

  const custody = () =>
    azureKeyCustody(
      () => side.clients,
      () => azureCloud({}),
    );
  const reference = (keyVersion: string): AzureKeyReference => ({
    kind: "azure",
    vaultName: "my-vault",
    keyName: "etcd",
    keyVersion,
  });

  it("retire => that version is disabled and marked, with its own tags kept; reinstate => as it was before", async () => {
    side.grant();
    const other = side.vault.keys.add({ name: "etcd" });
    const key = side.vault.keys.add({ name: "etcd" });
    key.tags = { team: "platform" };
    await custody().retire(reference(key.version), never);
    await custody().retire(reference(key.version), never);
    assert.deepEqual([key.enabled, key.tags["team"], other.enabled], [false, "platform", true]);
    await custody().reinstate(reference(key.version), never);
    assert.deepEqual([key.enabled, key.tags], [true, { team: "platform" }]);
  });

  it("somebody else has disabled the version => reinstate leaves it so", async () => {
    side.grant();
    const key = side.vault.keys.add({ name: "etcd" });
    key.enabled = false;
    await custody().retire(reference(key.version), never);
    await custody().reinstate(reference(key.version), never);
    assert.equal(key.enabled, false);
  });

  it("we may not look at the key => reinstate goes on, retire says what to grant", async () => {
    const key = side.vault.keys.add({ name: "etcd" });
    await custody().reinstate(reference(key.version), never);
    await assert.rejects(custody().retire(reference(key.version), never), /no role for its keys/);
  });

  it("the version is gone => reinstate goes on, retire says so", async () => {
    side.grant();
    const gone = reference("0".repeat(32));
    await custody().reinstate(gone, never);
    await assert.rejects(
      custody().retire(gone, never),
      /there is no key version https:\/\/my-vault\.vault\.azure\.net/,
    );
  });
});

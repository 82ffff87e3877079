import assert from "node:assert/strict";
import type { EncryptionConfiguration, ProviderItem } from "../../../core/encryption-configuration";
import { providerName } from "../../../core/provider-name";
import { activeKeyVersion } from "../../../provider/rollout/key-providers";
import type { SeenServer } from "../../../provider/rollout/rotation-engine";
import { keyVersion } from "../../rotation/goals";

const keys = [1, 2].map((version) => ({ version, key: keyVersion(version).key }));
const identity: ProviderItem = { kind: "identity" };

function ours(version: number, slot: string): ProviderItem {
  const name = providerName("v2", keyVersion(version).key, slot);
  return { kind: "kms", apiVersion: "v2", name, endpoint: `unix:///run/${name}.socket` };
}

function running(config: EncryptionConfiguration): SeenServer[] {
  return [{ name: "cp1", file: undefined, loaded: { hash: "a", config, since: 0, basis: "", failures: 0 } }];
}

describe("the declared version that servers encrypt with", () => {
  const wildcard = running({
    blocks: [
      { resources: ["pods"], providers: [identity] },
      { resources: ["*.*"], providers: [ours(1, "*.*")] },
    ],
  });

  it("a resource that a wildcard encrypts => the wildcard's", () => {
    assert.equal(activeKeyVersion(wildcard, ["*.*"], keys), 1);
    assert.equal(activeKeyVersion(wildcard, ["secrets", "*.*"], keys), 1);
    assert.equal(activeKeyVersion(wildcard, ["secrets"], keys), 1);
  });

  it("a block of its own comes before the wildcard => that one counts, also where it is plaintext", () => {
    assert.equal(activeKeyVersion(wildcard, ["pods"], keys), 0);
    assert.equal(activeKeyVersion(wildcard, ["pods", "*.*"], keys), undefined);
  });

  it("a server that was never given a file => plaintext; one that could not be asked for it, or has one that cannot be used => not known", () => {
    const nothing = { hash: undefined, config: undefined, since: 0, basis: "", failures: 0 };
    const server: SeenServer = { name: "cp1", file: undefined, loaded: nothing };
    assert.equal(activeKeyVersion([server], ["secrets"], keys), 0);
    const unseen = { ...server, unreachable: "the host did not answer in time" };
    assert.equal(activeKeyVersion([unseen], ["secrets"], keys), undefined);
    const spoilt = { ...server, fileProblem: { reason: "line 1 is not YAML", hash: "b" } };
    assert.equal(activeKeyVersion([spoilt], ["secrets"], keys), undefined);
  });

  it("no block at all => plaintext", () => {
    assert.equal(activeKeyVersion(running({ blocks: [] }), ["secrets"], keys), 0);
  });
});

import assert from "node:assert/strict";
import { azureKmsKeyId, isOfAnotherKey, isSameKey } from "../../core/key-ids";
import type { KeyReference } from "../../core/key-reference";

const uuid = (digit: string) =>
  `${digit.repeat(8)}-${digit.repeat(4)}-${digit.repeat(4)}-${digit.repeat(4)}-${digit.repeat(12)}`;
const arn = (key: string, region = "eu-west-1", account = "111122223333") => `arn:aws:kms:${region}:${account}:${key}`;
const aws: KeyReference = { kind: "aws", keyArn: arn(`key/${uuid("1")}`), region: "eu-west-1" };
const replica: KeyReference = { kind: "aws", keyArn: arn(`key/mrk-${"a".repeat(32)}`), region: "eu-west-1" };
const azure: KeyReference = { kind: "azure", vaultName: "myvault", keyName: "k8s", keyVersion: "0".repeat(32) };
const local: KeyReference = { kind: "local", file: "/k", keyId: `local-${"1".repeat(32)}` };

describe("a key_id that is certainly of another key", () => {
  const certain: readonly (readonly [string, KeyReference, string])[] = [
    ["another key's ARN", aws, arn(`key/${uuid("2")}`)],
    ["another key's id alone", aws, uuid("2")],
    ["an alias of another account", aws, arn("alias/etcd", "eu-west-1", "999999999999")],
    ["an alias of another Region", aws, arn("alias/etcd", "us-east-1")],
    ["a local key's, for a key in a cloud", aws, `local-${"2".repeat(32)}`],
    ["AWS's, for a key in Azure", azure, arn("alias/etcd")],
    ["another version of the key in Azure", azure, `https://myvault.vault.azure.net/keys/k8s/${"1".repeat(32)}`],
    ["any other, for a local key", local, "alias/etcd"],
  ];
  for (const [name, key, keyId] of certain) it(name, () => assert.equal(isOfAnotherKey(key, keyId), true));

  const uncertain: readonly (readonly [string, KeyReference, string])[] = [
    ["its own", aws, aws.keyArn],
    ["its own id alone", aws, uuid("1")],
    ["an alias of its account and Region", aws, arn("alias/etcd")],
    ["an alias of nobody knows which account", aws, "alias/etcd"],
    ["a replica of a multi-Region key", replica, arn(`key/mrk-${"a".repeat(32)}`, "us-east-1")],
    [
      "a hash, which may be of the vault's name in another spelling",
      azure,
      azureKmsKeyId("https://MyVault.vault.azure.net/keys/K8s/0"),
    ],
    ["a hash of nobody knows what", aws, "f".repeat(64)],
    ["its own in another spelling", azure, `https://MYVAULT.vault.azure.net/keys/K8s/${"0".repeat(32)}`],
    ["a text of a plugin that nobody knows", azure, "key-1"],
  ];
  for (const [name, key, keyId] of uncertain) it(`not: ${name}`, () => assert.equal(isOfAnotherKey(key, keyId), false));

  it("keys with another encryption context are one key where they live", () => {
    assert.equal(isSameKey(aws, { ...aws, encryptionContext: { cluster: "b" } }), true);
    assert.equal(isSameKey(aws, replica), false);
  });
});

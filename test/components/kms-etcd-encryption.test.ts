import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import * as publicDoor from "../../components";
import {
  EncryptionRollout,
  KmsEtcdEncryption,
  type KmsEtcdEncryptionArgs,
  LocalKey,
  RotationStage,
} from "../../components";
import { typeTokens } from "../../core/type-tokens";
import { outputValue } from "./support/output-value";
import { refusedInput } from "./support/refused-input";

// The SDK keeps its state in a global that it makes when first asked; mocha looks for new globals from the first test on.
void pulumi.runtime.isDryRun();

interface Registered {
  readonly type: string;
  readonly name: string;
  readonly inputs: Record<string, unknown>;
}

const kops = { clusterName: "e2e.example", plugin: { image: "registry.example/p@sha256:0" } };

const good: KmsEtcdEncryptionArgs = {
  keyVersion: 1,
  localKey: { directory: "/keys" },
  local: { controlPlaneFile: "/state/control-plane.json" },
};

describe("KmsEtcdEncryption", () => {
  let registered: Registered[];

  beforeEach(async () => {
    registered = [];
    await pulumi.runtime.setMocks({
      newResource: ({ type, name, inputs: given }) => {
        const inputs = given as Record<string, unknown>;
        registered.push({ type, name, inputs });
        return {
          id: name,
          state: { ...inputs, keyId: `id-of-${name}`, activeKeyVersion: 7, atGoal: true, evidence: { complete: true } },
        };
      },
      call: () => ({}),
    });
  });

  const of = (type: string) => registered.filter((resource) => resource.type === type);

  it("keyVersion 2 => one LocalKey for each version from 1, and a rollout that declares them all", async () => {
    const encryption = new KmsEtcdEncryption("etcd", { ...good, keyVersion: 2 });
    assert.equal(await outputValue(encryption.activeKeyVersion), 7);
    assert.deepEqual(
      of(typeTokens.localKey).map(({ name, inputs }) => [name, inputs["file"]]),
      [
        ["etcd-key-v1", "/keys/key-v1"],
        ["etcd-key-v2", "/keys/key-v2"],
      ],
    );
    assert.deepEqual(of(typeTokens.encryptionRollout)[0]?.inputs, {
      keyVersion: 2,
      keys: [1, 2].map((version) => ({
        version,
        local: { file: `/keys/key-v${version}`, keyId: `id-of-etcd-key-v${version}` },
      })),
      local: { controlPlaneFile: "/state/control-plane.json" },
      resources: ["secrets"],
      enabled: true,
    });
  });

  it("kops => a KopsKmsSettings of the same name in the place of the rollout, with its secrets marked", async () => {
    const keyArn = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const block = { ...kops, kubeconfig: "apiVersion: v1" };
    const encryption = new KmsEtcdEncryption("etcd", {
      keyVersion: 1,
      awsKms: { keyArns: { "1": keyArn } },
      kops: block,
    });
    assert.equal(await outputValue(encryption.activeKeyVersion), 7);
    assert.equal(of(typeTokens.encryptionRollout).length, 0);
    const [settings] = of(typeTokens.kopsKmsSettings);
    assert.equal(settings?.name, "etcd");
    assert.deepEqual(settings.inputs["keys"], [{ version: 1, aws: { keyArn } }]);
    // The mocks hand secrets over in their wire form.
    assert.match(
      JSON.stringify(settings.inputs["kops"]),
      /"kubeconfig":\{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270"|"kubeconfig":"apiVersion: v1"/,
    );
  });

  it("oldestKeyVersion and newestKeyVersion => exactly these keys", async () => {
    const encryption = new KmsEtcdEncryption("etcd", {
      ...good,
      keyVersion: 3,
      oldestKeyVersion: 2,
      newestKeyVersion: 4,
    });
    await outputValue(encryption.atGoal);
    assert.deepEqual(
      of(typeTokens.localKey).map(({ name }) => name),
      ["etcd-key-v2", "etcd-key-v3", "etcd-key-v4"],
    );
  });

  it("every optional input => passed on to the rollout", async () => {
    const more = {
      enabled: false,
      resources: ["secrets", "configmaps"],
      allowPlaintextReads: true,
      advanceTo: RotationStage.Write,
      limits: { reloadSeconds: 20 },
    };
    const encryption = new KmsEtcdEncryption("etcd", { ...good, ...more });
    await outputValue(encryption.evidence);
    const {
      keyVersion: _version,
      keys: _keys,
      local: _local,
      ...rest
    } = of(typeTokens.encryptionRollout)[0]?.inputs ?? {};
    assert.deepEqual(rest, more);
  });

  it("the component's own fields => its outputs and nothing private, because every field would be kept in the state", () => {
    const base = new Set(Object.keys(new pulumi.ComponentResource("test:index:Empty", "empty")));
    const own = Object.keys(new KmsEtcdEncryption("etcd", good)).filter(
      (name) => !base.has(name) && !name.startsWith("__"),
    );
    assert.deepEqual(own.sort(), ["activeKeyVersion", "atGoal", "evidence", "report"]);
  });

  const bad: readonly (readonly [string, Record<string, unknown>, string, RegExp])[] = [
    ["keyVersion 0", { keyVersion: 0 }, "keyVersion", /is 0; write a whole number, 1 or greater/],
    ["a negative keyVersion", { keyVersion: -2 }, "keyVersion", /is -2; write a whole number/],
    ["a fractional keyVersion", { keyVersion: 1.5 }, "keyVersion", /is 1\.5; write a whole number/],
    [
      "an Output for keyVersion",
      { keyVersion: pulumi.output(1) },
      "keyVersion",
      /is of type object; write a whole number/,
    ],
    [
      "keyVersion above newestKeyVersion",
      { keyVersion: 3, newestKeyVersion: 2 },
      "keyVersion",
      /raise newestKeyVersion to 3/,
    ],
    [
      "keyVersion below oldestKeyVersion",
      { keyVersion: 1, oldestKeyVersion: 2, newestKeyVersion: 2 },
      "keyVersion",
      /lower oldestKeyVersion to 1/,
    ],
    [
      "no key",
      { localKey: undefined },
      "azureKeyVault",
      /no key is named; give exactly one of azureKeyVault, awsKms, localKey/,
    ],
    ["no cluster", { local: undefined }, "aks", /give exactly one of aks, kops, selfManaged, local/],
    [
      "a local key for kOps",
      { local: undefined, kops },
      "localKey",
      /machines of kops have no leave to use; use awsKms/,
    ],
    ["a misspelt input", { keyversion: 1 }, "keyversion", /is not an input; the inputs are keyVersion/],
  ];
  for (const [name, changed, path, reason] of bad) {
    it(`${name} => an InputPropertyError at ${path}, and no resource`, () => {
      assert.throws(() => new KmsEtcdEncryption("etcd", { ...good, ...changed }), refusedInput(path, reason));
      assert.equal(registered.length, 0);
    });
  }

  it("two keys and two clusters => one InputPropertiesError that names all four", () => {
    assert.throws(
      () => new KmsEtcdEncryption("etcd", { ...good, awsKms: {}, kops: {} } as unknown as KmsEtcdEncryptionArgs),
      (thrown: unknown) => {
        assert.ok(pulumi.InputPropertiesError.isInstance(thrown));
        assert.deepEqual(
          thrown.errors.map((error) => error.propertyPath),
          ["awsKms", "localKey", "kops", "local"],
        );
        assert.match(
          thrown.errors[0]?.reason ?? "",
          /one of 2 blocks that name a key \(awsKms, localKey\); keep exactly one/,
        );
        return true;
      },
    );
  });

  it("nothing at all => an error that names every missing input, not a TypeError", () => {
    assert.throws(
      () => new KmsEtcdEncryption("etcd", undefined as unknown as KmsEtcdEncryptionArgs),
      (thrown: unknown) => pulumi.InputPropertiesError.isInstance(thrown) && thrown.errors.length === 3,
    );
  });
});

describe("the public door", () => {
  it("exports these names: a change here is a change for every user", () => {
    assert.deepEqual(Object.keys(publicDoor).sort(), [
      "AksCredential",
      "AksEncryptionMode",
      "AksKmsSettings",
      "AksReach",
      "AwsKeyAccess",
      "AwsKeyAlarm",
      "AwsKmsEndpoint",
      "AwsKmsKey",
      "AzureKeyAttributes",
      "AzureKeyIdentity",
      "AzureKeyMonitoring",
      "AzureKeyType",
      "AzureKeyVaultKey",
      "AzurePrincipal",
      "AzurePrincipalKind",
      "AzureVaultAccess",
      "ControlPlaneBootstrap",
      "EncryptionRollout",
      "ImagePlatform",
      "KeyAccess",
      "KeypairStage",
      "KmsEtcdEncryption",
      "KmsPluginStaticPod",
      "KopsKeypairRotation",
      "KopsKmsSettings",
      "KopsMachineAddress",
      "KopsSecretRotation",
      "KubeadmApiVersion",
      "LocalKey",
      "PluginFlavour",
      "PluginImage",
      "ReplaceableSecret",
      "RewriteMethod",
      "RotationStage",
      "VaultAuthorization",
      "VaultNetworkAccess",
      "VaultPrivateEndpoint",
      "VaultSku",
      "kopsSpecWithKmsSettings",
    ]);
    assert.equal(publicDoor.LocalKey, LocalKey);
    assert.equal(publicDoor.EncryptionRollout, EncryptionRollout);
  });
});

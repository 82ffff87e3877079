import assert from "node:assert/strict";
import { type Properties, unknown } from "../../../provider/property-values";
import {
  describePlatform,
  isSamePlatform,
  platformOf,
  secretPlatformInputs,
} from "../../../provider/rollout/platform-inputs";
import { rolloutProblems } from "../../../provider/rollout/rollout-problems";

const keyArn = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const image = `registry.example/kms-etcd-plugin@sha256:${"0".repeat(64)}`;
const kops: Properties = { clusterName: "e2e.example.com", stateStore: "s3://state", plugin: { image } };
const good: Properties = { keyVersion: 1, keys: [{ version: 1, aws: { keyArn } }], kops };

describe("inputs of a KopsKmsSettings", () => {
  const problems = (changed: Properties) =>
    rolloutProblems({ ...good, ...changed }, "KopsKmsSettings").map(({ path, reason }) => `${path} ${reason}`);
  const blockProblems = (changed: Properties) => problems({ kops: { ...kops, ...changed } });

  it("good inputs, and those that are not known yet => no problem; defaults are kOps' own", () => {
    assert.deepEqual(problems({}), []);
    assert.deepEqual(blockProblems({ stateStore: unknown, kubeconfig: unknown, plugin: { image: unknown } }), []);
    const jumpHost = {
      address: "bastion",
      user: "ec2-user",
      privateKey: "key",
      knownHosts: "bastion ssh-ed25519 AAAA",
    };
    assert.deepEqual(blockProblems({ jumpHost, rolling: { drainTimeoutSeconds: 30, postDrainSeconds: 0 } }), []);
    const platform = platformOf({ kops: { ...kops, jumpHost } }) ?? assert.fail();
    assert.ok(platform.kind === "kops");
    assert.deepEqual(
      [platform.cluster.program, platform.cluster.machineAddress, platform.cluster.jumpHost?.port],
      ["kops", "Internal", 22],
    );
    assert.equal(describePlatform(platform), "the kOps cluster e2e.example.com");
    assert.ok(
      secretPlatformInputs.includes("kops.kubeconfig") && secretPlatformInputs.includes("kops.jumpHost.privateKey"),
    );
  });

  it("backups without a version that is retired => no problem, and the cluster has it", () => {
    const block = { ...kops, etcdBackupsWithoutKeyVersions: [1] };
    const keys = [1, 2].map((version) => ({ version, aws: { keyArn } }));
    assert.deepEqual(problems({ keyVersion: 2, keys, retireKeyVersions: [1], kops: block }), []);
    assert.deepEqual(problems({ keyVersion: 2, keys, retireKeyVersions: unknown, kops: block }), []);
    const platform = platformOf({ kops: block }) ?? assert.fail();
    assert.deepEqual(platform.kind === "kops" && platform.cluster.etcdBackupsWithoutKeyVersions, [1]);
  });

  it("one name is one cluster, unless both name another store", () => {
    const of = (changed: Properties) => platformOf({ kops: { ...kops, ...changed } }) ?? assert.fail();
    assert.ok(isSamePlatform(of({}), of({ stateStore: null })));
    assert.ok(!isSamePlatform(of({}), of({ stateStore: "s3://other" })));
    assert.ok(!isSamePlatform(of({}), of({ clusterName: "other.example.com" })));
  });

  const bad: readonly (readonly [string, Properties, RegExp])[] = [
    ["no block", { kops: null }, /^kops is missing: no cluster is named/],
    ["a local control plane", { local: { controlPlaneFile: "/x" } }, /^local is not an input/],
    [
      "a key in a file",
      { keys: [{ version: 1, local: { file: "/k", keyId: "l" } }] },
      /^keys\[0\]\.local is no key in AWS KMS/,
    ],
    ["limits", { limits: { reloadSeconds: 1 } }, /^limits is of no use on kOps.*set kops\.rolling/],
    ["a snapshot", { etcdSnapshot: { directory: "/x" } }, /^etcdSnapshot needs a way to etcd/],
    ["compaction", { compactAfterPrune: true }, /^compactAfterPrune needs a way to etcd/],
  ];
  const badBlocks: readonly (readonly [string, Properties, RegExp])[] = [
    ["no name", { clusterName: null }, /^kops\.clusterName is missing; give the cluster's name/],
    ["a name that is a flag", { clusterName: "--yes" }, /^kops\.clusterName is "--yes"; write a DNS name/],
    ["a store in a folder", { stateStore: "file:///x" }, /^kops\.stateStore is "file:\/\/\/x"; write s3:/],
    ["a tag", { plugin: { image: "registry.example/p:1" } }, /^kops\.plugin\.image is .*names no digest/],
    [
      "a plugin for Azure",
      { plugin: { image, flavour: "AzureKubernetesKms" } },
      /^kops\.plugin\.flavour is .*write one of KmsEtcd, AwsEncryptionProvider/,
    ],
    [
      "an address that is none",
      { machineAddress: "Public" },
      /^kops\.machineAddress is "Public"; write one of Internal, External/,
    ],
    ["two kubeconfigs", { kubeconfig: "x", kubeconfigFile: "/x" }, /^kops\.kubeconfigFile is given beside kubeconfig/],
    [
      "a jump host without its key",
      { jumpHost: { address: "b", user: "u", privateKey: "k" } },
      /^kops\.jumpHost\.knownHosts is missing/,
    ],
    [
      "foreign statements",
      { policyStatements: '[{"Sid":"Mine"}]' },
      /^kops\.policyStatements has a statement whose Sid/,
    ],
    ["statements that are no JSON", { policyStatements: "x" }, /^kops\.policyStatements is no JSON list/],
    [
      "an interval of 0",
      { rolling: { intervalSeconds: 0 } },
      /^kops\.rolling\.intervalSeconds is 0; write a whole number, 1 to/,
    ],
    ["a flag of kops", { rolling: { cloudonly: true } }, /^kops\.rolling\.cloudonly is not an input/],
    [
      "versions of backups that are no list",
      { etcdBackupsWithoutKeyVersions: 1 },
      /^kops\.etcdBackupsWithoutKeyVersions is not a list; write \[1\]/,
    ],
    [
      "a version that is none",
      { etcdBackupsWithoutKeyVersions: [1, "2"] },
      /^kops\.etcdBackupsWithoutKeyVersions\[1\] is "2"; write a whole number/,
    ],
    [
      "backups of a version that is not retired",
      { etcdBackupsWithoutKeyVersions: [1] },
      /^kops\.etcdBackupsWithoutKeyVersions\[0\] is 1, which is not in retireKeyVersions/,
    ],
    ["a relative backup folder", { backupDirectory: "b" }, /^kops\.backupDirectory is not an absolute path/],
  ];
  for (const [name, changed, message] of [
    ...bad,
    ...badBlocks.map(([what, block, text]) => [what, { kops: { ...kops, ...block } }, text] as const),
  ]) {
    it(`${name} => a problem at its property`, () => {
      const found = problems(changed);
      assert.ok(
        found.some((text) => message.test(text)),
        found.join("\n"),
      );
    });
  }
});

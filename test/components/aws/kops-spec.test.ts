import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { type KopsSpecArgs, kopsSpecWithKmsSettings, PluginFlavour } from "../../../components";
import { readCluster } from "../../../rotation/adapters/kops/cluster-spec";
import { withKmsSettings } from "../../../rotation/adapters/kops/merge-cluster-spec";
import { awsPlugin, keyArn } from "../../rotation/adapters/kops/kops-goals";
import { seedCluster } from "../../rotation/adapters/kops/seed-002";
import { plainCluster } from "../../rotation/adapters/kops/simulated-kops";

const image = `registry.example/kms-etcd-plugin@sha256:${"0".repeat(64)}`;
const groupOf = (name: string, role: string) => ({ kind: "InstanceGroup", metadata: { name }, spec: { role } });
const given = (document: object) => structuredClone(document) as Record<string, unknown>;
const args = (more: Partial<KopsSpecArgs> = {}): KopsSpecArgs => ({
  cluster: given(plainCluster),
  instanceGroups: [groupOf("control-plane-us-west-2a", "Master"), groupOf("nodes", "Node")],
  keys: [{ keyArn: keyArn(1) }],
  plugin: { image },
  ...more,
});

describe("a kOps cluster's spec as an object in the program", () => {
  it("a plain cluster => the document that the engine would make of it; the given one is as it was, and once more changes nothing", () => {
    const before = args();
    const made = kopsSpecWithKmsSettings(before);
    const settings = { plugins: [awsPlugin(1)], roles: ["ControlPlane"], image: { image } };
    assert.deepEqual(made, withKmsSettings(plainCluster, settings));
    assert.deepEqual(before.cluster, plainCluster);
    assert.deepEqual(kopsSpecWithKmsSettings(args({ cluster: made })), made);
  });

  it("a cluster set up by hand, flags, another program and statements => all that it has stays, and ours is beside it", () => {
    const statements = [{ Sid: "KmsEtcdUseKeys", Effect: "Allow", Action: ["kms:Decrypt"], Resource: [keyArn(1)] }];
    const made = kopsSpecWithKmsSettings(
      args({
        cluster: given(seedCluster()),
        plugin: {
          image,
          flavour: PluginFlavour.AwsEncryptionProvider,
          awsEndpoint: "https://kms.example",
          arguments: ["--x"],
        },
        policyStatements: JSON.stringify(statements),
      }),
    );
    const upstream = {
      image,
      command: ["/aws-encryption-provider"],
      upstream: true,
      arguments: ["--kms-endpoint=https://kms.example", "--x"],
    };
    const settings = { plugins: [awsPlugin(1)], roles: ["ControlPlane"], image: upstream, statements };
    assert.deepEqual(made, withKmsSettings(readCluster(given(seedCluster())), settings));
  });

  it("everything that machines could not use => one error that says all of it, with what to do", () => {
    const manifest = { path: "/etc/kubernetes/manifests/x.yaml", content: "eA==" };
    const fileAssets = [
      { ...manifest, name: "master.yaml", roles: ["Master"] },
      { ...manifest, name: "padded.yaml", isBase64: true, roles: ["ControlPlane"] },
    ];
    const cluster = given({ ...plainCluster, spec: { ...plainCluster.spec, fileAssets } });
    const bad = args({
      cluster,
      keys: [{ keyArn: "alias/etcd" }],
      plugin: { image: "registry.example/kms-etcd-plugin:latest" },
      policyStatements: "none",
      encryptionConfig: "kind: Config\nsecret: c2VjcmV0\n",
    });
    const message = messageOf(() => kopsSpecWithKmsSettings(bad));
    for (const problem of [
      /cluster: spec\.fileAssets\[0\]\.roles names Master: .*; write ControlPlane/,
      /cluster: spec\.fileAssets\[1\]\.content is not the base64 that machines decode .*; write it without padding/,
      /keys\[0\]\.keyArn is the alias alias\/etcd/,
      /plugin\.image .*digest/,
      /policyStatements is no JSON list/,
      /encryptionConfig encryption configuration: .*kind/,
    ])
      assert.match(message, problem);
    assert.ok(!message.includes("c2VjcmV0"));
  });

  it("no cluster, no groups with API servers, no keys => each said", () => {
    const message = messageOf(() =>
      kopsSpecWithKmsSettings(args({ cluster: { kind: "Config" }, instanceGroups: [{}], keys: [] })),
    );
    for (const problem of [
      /cluster what was given is no kOps Cluster/,
      /instanceGroups\[0\] /,
      /has no group with API/,
      /keys is empty/,
    ])
      assert.match(message, problem);
  });
});

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    assert.ok(pulumi.InputPropertiesError.isInstance(thrown));
    return (thrown as Error).message;
  }
  throw new Error("it was taken");
}

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { type KopsCluster, readCluster, readInstanceGroup } from "../../../../rotation/adapters/kops/cluster-spec";
import {
  type KmsSettings,
  pluginsOf,
  withKmsSettings,
  withoutPlugins,
} from "../../../../rotation/adapters/kops/merge-cluster-spec";
import { isUnpaddedBase64 } from "../../../../rotation/adapters/kops/plugin-manifest-reader";
import { specProblems } from "../../../../rotation/adapters/kops/spec-problems";
import { awsPlugin, instanceGroups, keyArn } from "./kops-goals";
import { asYaml, mountHook, seedCluster, seedManifest } from "./seed-002";
import { plainCluster } from "./simulated-kops";

const image = { image: "registry.example/kms-etcd-plugin:1" };
const settings = (versions: readonly number[], more: Partial<KmsSettings> = {}): KmsSettings => ({
  plugins: versions.map(awsPlugin),
  image,
  roles: ["ControlPlane"],
  ...more,
});

/** UPDATE_GOLDEN=1 writes the files anew. */
function assertGolden(name: string, text: string): void {
  const file = join(__dirname, "golden", name);
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, text);
  assert.equal(text, readFileSync(file, "utf8"));
}

describe("a kOps cluster's spec with encryption", () => {
  it("a plain cluster => encryption on, one static pod; and without the plugin everything else as it was", () => {
    const made = withKmsSettings(plainCluster, settings([1]));
    assertGolden("plain-cluster.yaml", asYaml(made));
    const { encryptionConfig: _on, ...rest } = withoutPlugins(made, pluginsOf(made)).spec;
    assert.deepEqual(rest, plainCluster.spec);
  });

  it("a cluster set up by hand after seed 002 => its plugin, mount and policy stay, ours stands beside them on another port", () => {
    const made = withKmsSettings(seedCluster(), settings([2], { roles: ["ControlPlane", "APIServer"] }));
    assertGolden("adopted-cluster.yaml", asYaml(made));
    assert.deepEqual(
      pluginsOf(made).map(({ name, ports }) => [name, ports]),
      [
        ["aws-encryption-provider", [8083]],
        [awsPlugin(2).name, [8084]],
      ],
    );
  });

  it("the hand-made plugin let go of => it leaves with the hook that mounted its sockets, and nothing else does", () => {
    const made = withKmsSettings(seedCluster(), settings([2]));
    const pruned = withoutPlugins(
      made,
      pluginsOf(made).filter(({ name }) => name === "aws-encryption-provider"),
    );
    assert.deepEqual(
      pruned.spec.fileAssets?.map((asset) => asset.name),
      ["motd", `${awsPlugin(2).name}.yaml`],
    );
    assert.deepEqual(
      pruned.spec.hooks,
      seedCluster().spec.hooks?.filter((hook) => hook.name !== mountHook.name),
    );
    assert.deepEqual(pruned.spec.additionalPolicies, seedCluster().spec.additionalPolicies);
  });

  it("asked twice, or for one more => what is there keeps its very text, so that no machine is replaced for nothing", () => {
    const once = withKmsSettings(seedCluster(), settings([1]));
    assert.deepEqual(withKmsSettings(once, settings([1])), once);
    const both = withKmsSettings(once, settings([2]));
    assert.deepEqual(both.spec.fileAssets?.slice(0, 3), once.spec.fileAssets);
    const onlySecond = withoutPlugins(
      both,
      pluginsOf(both).filter(({ name }) => name === awsPlugin(1).name),
    );
    assert.deepEqual(withKmsSettings(onlySecond, settings([2])), onlySecond);
  });

  it("what another has put into the spec stays, whatever it is", () => {
    const json = fc.dictionary(
      fc
        .string()
        .filter(
          (name) => !["encryptionConfig", "fileAssets", "hooks", "additionalPolicies", "__proto__"].includes(name),
        ),
      fc.jsonValue(),
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(json, fc.subarray([1, 2, 3]), (fields, versions) => {
        const cluster: KopsCluster = { ...plainCluster, spec: fields };
        const made = withKmsSettings(cluster, settings(versions));
        const { encryptionConfig, fileAssets, ...rest } = made.spec;
        assert.equal(encryptionConfig, true);
        assert.equal(fileAssets?.length ?? 0, versions.length);
        assert.deepEqual(rest, fields);
      }),
      { numRuns: 50 },
    );
  });

  it("statements for the role => under the name that the API version has for it, beside others', replaced by Sid, and gone again", () => {
    const statements = [{ Sid: "KmsEtcdUseKeys", Effect: "Allow", Action: ["kms:Encrypt"], Resource: [keyArn(1)] }];
    const made = withKmsSettings(seedCluster(), settings([1], { statements }));
    const [theirs, ours] = JSON.parse(made.spec.additionalPolicies?.["master"] ?? "[]") as unknown[];
    assert.deepEqual(ours, statements[0]);
    assert.deepEqual(theirs, { Effect: "Allow", Action: ["kms:Decrypt", "kms:Encrypt"], Resource: ["*"] });
    assert.deepEqual(withKmsSettings(made, settings([1], { statements })), made);
    const gone = withKmsSettings(made, settings([1], { statements: [] }));
    assert.deepEqual(JSON.parse(gone.spec.additionalPolicies?.["master"] ?? ""), [theirs]);
    const newer = withKmsSettings(
      { ...plainCluster, apiVersion: "kops.k8s.io/v1alpha3" },
      settings([1], { statements }),
    );
    assert.deepEqual(Object.keys(newer.spec.additionalPolicies ?? {}), ["control-plane"]);
  });

  it("aws-encryption-provider's own image => its flags without our sub-command", () => {
    const upstream = { image: "registry.example/aep:v1", command: ["/aws-encryption-provider"], upstream: true };
    const [asset] = withKmsSettings(plainCluster, settings([1], { image: upstream })).spec.fileAssets ?? [];
    const text = asset?.content ?? "";
    assert.match(text, /command:\n\s+- \/aws-encryption-provider\n\s+args:\n\s+- --key=arn:aws:kms/);
    assert.match(text, /--health-port=127\.0\.0\.1:8083/);
    assert.doesNotMatch(text, /- aws\n/);
  });
});

describe("what kOps accepts and machines can't use", () => {
  const problemsOf = (cluster: KopsCluster, more: Partial<KmsSettings> = {}, groups = instanceGroups(1)) =>
    specProblems(cluster, groups, settings([1], more)).map(
      ({ path, reason, remedy }) => `${path} ${reason}; ${remedy}`,
    );

  it("a clean spec, and one adopted from seed 002 => nothing", () => {
    assert.deepEqual(problemsOf(plainCluster), []);
    assert.deepEqual(problemsOf(seedCluster()), []);
    assert.deepEqual(problemsOf(withKmsSettings(seedCluster(), settings([1]))), []);
  });

  it("roles: [Master] of the guide => refused, with the role that is meant", () => {
    const [problem] = problemsOf(seedCluster(["Master"]));
    assert.match(
      problem ?? "",
      /^spec\.fileAssets\[1\]\.roles names Master: kOps takes it, and no machine has that role.*write ControlPlane$/,
    );
  });

  it("base64 with padding => refused; without => read like plain text", () => {
    const withContent = (content: string): KopsCluster => {
      const cluster = seedCluster();
      const [motd, asset] = cluster.spec.fileAssets ?? [];
      if (motd === undefined || asset === undefined) throw new Error("no asset");
      return { ...cluster, spec: { ...cluster.spec, fileAssets: [motd, { ...asset, content, isBase64: true }] } };
    };
    const encoded = Buffer.from(`${seedManifest}# ..`).toString("base64");
    const padded = encoded.endsWith("=") ? encoded : Buffer.from(`${seedManifest}# .`).toString("base64");
    assert.match(
      problemsOf(withContent(padded))[0] ?? "",
      /fileAssets\[1\]\.content is not the base64 that machines decode/,
    );
    assert.deepEqual(problemsOf(withContent(padded.replace(/=+$/, ""))), []);
    assert.equal(pluginsOf(withContent(padded.replace(/=+$/, "")))[0]?.name, "aws-encryption-provider");
  });

  it("unpadded base64 is what Go's RawStdEncoding decodes", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = Buffer.from(bytes).toString("base64");
        assert.equal(isUnpaddedBase64(text), !text.includes("="));
        assert.equal(isUnpaddedBase64(text.replace(/=+$/, "")), true);
      }),
    );
    for (const bad of ["a-_b", "abcde", "ab cd", "ab==="]) assert.equal(isUnpaddedBase64(bad), false, bad);
  });

  it("a configuration file of its own, a name of ours, an override in a group, a registry without leave => refused", () => {
    const own = {
      ...plainCluster,
      spec: { ...plainCluster.spec, kubeAPIServer: { encryptionProviderConfig: "/x.yaml" } },
    };
    assert.match(
      problemsOf(own)[0] ?? "",
      /spec\.kubeAPIServer\.encryptionProviderConfig names a configuration file of its own/,
    );
    const [ours] = withKmsSettings(plainCluster, settings([1])).spec.fileAssets ?? [];
    if (ours === undefined) throw new Error("no asset");
    const foreign = { ...plainCluster, spec: { fileAssets: [{ ...ours, content: "x" }] } };
    assert.match(problemsOf(foreign)[0] ?? "", /fileAssets\[0\]\.name is kms-etcd-[0-9a-f]+\.yaml, a name of ours/);
    const groups = instanceGroups(1).map((group) => ({ ...group, fileAssets: [ours] }));
    assert.match(
      problemsOf(plainCluster, {}, groups)[0] ?? "",
      /^instance group control-plane-us-west-2a, spec\.fileAssets\[0\] stands at/,
    );
    const ecr = { image: "111122223333.dkr.ecr.us-west-2.amazonaws.com/p:1" };
    assert.match(problemsOf(plainCluster, { image: ecr })[0] ?? "", /spec\.iam\.allowContainerRegistry is not true/);
  });
});

describe("kOps documents", () => {
  it("what is no Cluster or InstanceGroup => refused, with the command that prints one", () => {
    for (const bad of [
      undefined,
      [],
      { kind: "Cluster" },
      { kind: "InstanceGroup", metadata: { name: "a" }, spec: {} },
    ]) {
      assert.throws(() => readCluster(bad), /is no kOps Cluster/);
    }
    assert.throws(
      () => readCluster({ ...plainCluster, spec: { fileAssets: [{ name: "x" }] } }),
      /fileAssets\[0\] lacks its name or content/,
    );
    assert.throws(
      () => readInstanceGroup({ kind: "InstanceGroup", metadata: { name: "a" }, spec: {} }),
      /no kOps InstanceGroup/,
    );
  });

  it("a group's role in both API versions => as machines compare it", () => {
    const group = (role: string) =>
      readInstanceGroup({ kind: "InstanceGroup", metadata: { name: "a" }, spec: { role } }).role;
    assert.deepEqual(["Master", "ControlPlane", "APIServer", "Node"].map(group), [
      "ControlPlane",
      "ControlPlane",
      "APIServer",
      "Node",
    ]);
  });
});

import assert from "node:assert/strict";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { type PropertyValue, readProperties, unknown, writeProperties } from "../../../provider/property-values";
import {
  describePlatform,
  isSamePlatform,
  platformOf,
  platformProblems,
  secretPlatformInputs,
} from "../../../provider/rollout/platform-inputs";
import { rolloutProblems } from "../../../provider/rollout/rollout-problems";

const block = {
  hosts: [
    { name: "cp1", address: "10.0.0.4" },
    { name: "cp2", address: "10.0.0.5" },
  ],
  ssh: { user: "root", privateKey: "the private key", knownHosts: "10.0.0.4 ssh-ed25519 AAAA" },
  kubernetes: { kubeconfig: "the kubeconfig" },
  plugin: { image: `registry.example/p@sha256:${"1".repeat(64)}` },
};
const azure = { vaultName: "vault", keyName: "k8s", keyVersion: "0".repeat(32) };
const inputs = { keyVersion: 1, keys: [{ version: 1, azure }], selfManaged: block };
const of = (hosts: readonly string[]) =>
  platformOf({ selfManaged: { ...block, hosts: hosts.map((address) => ({ name: address, address })) } }) ??
  assert.fail();

describe("the platform selfManaged of a rollout", () => {
  it("good inputs => no problems, and a cluster that messages can name", () => {
    assert.deepEqual(rolloutProblems(inputs), []);
    const platform = platformOf(inputs) ?? assert.fail();
    assert.equal(describePlatform(platform), "the cluster of cp1, cp2");
  });

  it("what is wrong inside => said by path; what is not known yet is not judged, and no plan is made", () => {
    const wrong = { ...block, hosts: [{ name: "cp1" }], plugin: { image: "p:latest" } };
    assert.deepEqual(
      platformProblems({ selfManaged: wrong }).map(({ path }) => path),
      ["selfManaged.hosts[0].address", "selfManaged.plugin.image"],
    );
    const later: PropertyValue = { ...block, hosts: [{ name: "cp1", address: unknown }] };
    assert.deepEqual(platformProblems({ selfManaged: later }), []);
    assert.equal(platformOf({ selfManaged: later }), undefined);
  });

  it("a key in a file of this machine => refused at its place", () => {
    const local = { file: "/keys/1", keyId: "local-1" };
    const problems = rolloutProblems({ ...inputs, keys: [{ version: 1, local }] });
    assert.deepEqual(
      problems.map(({ path }) => path),
      ["keys[0].local"],
    );
    assert.match(problems[0]?.reason ?? "", /hosts of selfManaged do not have; use azure or aws/);
  });

  it("the same cluster when hosts come and go; another one when none is left", () => {
    assert.ok(isSamePlatform(of(["10.0.0.4", "10.0.0.5"]), of(["10.0.0.5", "10.0.0.6"])));
    assert.ok(!isSamePlatform(of(["10.0.0.4"]), of(["10.1.0.4"])));
    assert.ok(!isSamePlatform(of(["10.0.0.4"]), { kind: "local", controlPlaneFile: "/x" }));
  });

  it("private key and kubeconfig => marked on the wire, whoever gave them in clear; all else stays readable", () => {
    const wire = writeProperties({ selfManaged: block }, new Set(secretPlatformInputs));
    const { values, secrets } = readProperties(Struct.deserializeBinary(wire.serializeBinary()));
    assert.deepEqual(values, { selfManaged: block });
    assert.deepEqual([...secrets].sort(), ["selfManaged.kubernetes.kubeconfig", "selfManaged.ssh.privateKey"]);
  });
});

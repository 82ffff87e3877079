import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSelfManagedBlock } from "../../../rotation/cli/self-managed-block";

describe("the block selfManaged of a configuration file", () => {
  const base = mkdtempSync(join(tmpdir(), "kms-etcd-block-"));
  const place = { path: "selfManaged", base };
  writeFileSync(join(base, "key"), "the private key\n");
  writeFileSync(join(base, "passphrase"), "a phrase\n");
  writeFileSync(join(base, "hosts"), "10.0.0.4 ssh-ed25519 AAAA\n");
  writeFileSync(join(base, "kubeconfig"), "kind: Config\n");
  after(() => rmSync(base, { recursive: true }));

  const block = {
    hosts: [{ name: "cp1", address: "10.0.0.4" }],
    ssh: { user: "root", privateKeyFile: "key", passphraseFile: "passphrase", knownHostsFile: "hosts" },
    kubernetes: { kubeconfigFile: "kubeconfig" },
    plugin: { image: `registry.example/p@sha256:${"1".repeat(64)}` },
  };
  const problems = (value: unknown) => {
    const read = readSelfManagedBlock(value, place);
    return "violations" in read ? read.violations.map(({ path, reason }) => `${path} ${reason}`) : [];
  };

  it("secrets come from files beside the configuration", () => {
    const read = readSelfManagedBlock(block, place);
    assert.ok("value" in read);
    assert.equal(read.value.ssh.privateKey, "the private key\n");
    assert.equal(read.value.ssh.passphrase, "a phrase");
    assert.equal(read.value.ssh.knownHosts, "10.0.0.4 ssh-ed25519 AAAA\n");
    assert.equal(read.value.kubernetes.kubeconfig, "kind: Config\n");
  });

  it("a secret in the file itself => refused, and not shown", () => {
    const found = problems({ ...block, ssh: { ...block.ssh, privateKey: "hunter2" } });
    assert.match(found.join("\n"), /selfManaged\.ssh\.privateKey is a secret, .*privateKeyFile/);
    assert.ok(!found.join("\n").includes("hunter2"));
  });

  it("a file that is not there => named once, with why", () => {
    const found = problems({ ...block, ssh: { ...block.ssh, privateKeyFile: "missing" } });
    assert.equal(found.length, 1);
    assert.match(found[0] ?? "", /selfManaged\.ssh\.privateKeyFile names .*missing, which cannot be read \(ENOENT\)/);
  });

  it("everything else as in a program's inputs", () => {
    assert.match(problems({ ...block, hosts: [] }).join("\n"), /selfManaged\.hosts is missing or empty/);
    assert.match(problems("x").join("\n"), /selfManaged is no object/);
  });
});

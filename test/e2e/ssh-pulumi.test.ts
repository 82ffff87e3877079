import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AzureKeyReference } from "../../core/key-reference";
import { type CloudKeys, cloudKeys } from "../full/support/cloud-keys";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";
import { type PulumiProject, programFiles, pulumiProject, repository } from "./support/pulumi-project";
import { type RealCluster, realCluster } from "./support/real-cluster";
import { type SshCluster, sshCluster, withoutEncryption } from "./support/ssh-cluster";

/** Restarting servers, because a restart takes seconds and a reload up to a minute. */
describe("pulumi up on control-plane hosts over SSH, with keys in a Key Vault", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  let clouds: CloudKeys;
  let ssh: SshCluster;
  let project: PulumiProject;

  before(async function () {
    skipFor(whyNoSshServer(), this);
    clouds = await cloudKeys();
    closing.push(() => clouds.close());
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    closing.push(() => cluster.close());
    await cluster.createSecrets(30);
    await withoutEncryption(cluster, true);
    ssh = await sshCluster(cluster, {
      plugin: { ...(await clouds.azureHosts()), arguments: ["--probe-interval=2s"] },
    });
    closing.push(() => ssh.close());
    const directory = join(cluster.directory, "project");
    const key = (version: number): Omit<AzureKeyReference, "kind"> => {
      const { kind: _, ...reference } = clouds.azureKey("pulumivault", `k8s-${version}`);
      return reference;
    };
    project = await pulumiProject({
      directory,
      files: programFiles(`
          const pulumi = require("@pulumi/pulumi");
          const { EncryptionRollout } = require(${JSON.stringify(join(repository, "dist", "components", "index.js"))});
          const config = new pulumi.Config();
          const selfManaged = JSON.parse(require("fs").readFileSync("cluster.json", "utf8"));
          selfManaged.ssh.knownHosts = config.get("knownHosts") ?? selfManaged.ssh.knownHosts;
          const rollout = new EncryptionRollout("etcd", {
            keyVersion: config.requireNumber("keyVersion"),
            keys: ${JSON.stringify([1, 2].map((version) => ({ version, azure: key(version) })))},
            selfManaged,
          });
          exports.activeKeyVersion = rollout.activeKeyVersion;
          exports.evidence = rollout.evidence;`),
    });
    writeFileSync(join(directory, "cluster.json"), JSON.stringify(ssh.described), { mode: 0o600 });
    await project.configure({ keyVersion: 1 });
  });
  const closing: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  const secret = () => ssh.described.ssh.privateKey?.split("\n")[1] ?? assert.fail("no key");

  it("a host key that is not the known one => preview fails, names the block and both fingerprints", async () => {
    const [first = "", second = ""] = ssh.described.ssh.knownHosts.trim().split("\n");
    const swapped = [[first, second] as const, [second, first] as const].map(
      ([host, other]) => `${host.split(" ")[0]} ${other.split(" ").slice(1).join(" ")}`,
    );
    await project.configure({ knownHosts: swapped.join("\n") });
    const { code, text } = await project.run(["preview"]);
    assert.notEqual(code, 0);
    assert.ok(!text.includes(secret()), "the CLI prints the value of a property that has a problem");
    assert.match(
      text,
      /selfManaged.*cp1: the ssh-ed25519 host key of .* has changed: it is SHA256:\S+, but knownHosts has SHA256:/s,
    );
    await project.succeed(["config", "rm", "knownHosts"]);
  });

  it("preview => the plan with its restarts; up => every Secret under version 1 of the key", async () => {
    const preview = await project.succeed(["preview", "--diff"]);
    assert.match(preview, /warning: cp1 is set up for encryption first, .*there is no --encryption-provider-config/);
    assert.ok(!preview.includes(secret()));
    const text = await project.succeed(["up", "--yes", "--skip-preview"]);
    assert.ok(!text.includes(secret()));
    const { activeKeyVersion, evidence } = await project.outputs();
    assert.equal(activeKeyVersion, 1);
    assert.deepEqual((evidence as { complete: boolean; method: string }).complete, true);
    const stored = Object.keys(await cluster.storedProviders());
    assert.equal(stored.length, 1);
    assert.match(stored[0] ?? "", /^k8s:enc:kms:v2:kms-etcd-/);
  });

  it("the state holds the private key as a secret, and other inputs in clear", async () => {
    const state = await project.succeed(["stack", "export"]);
    assert.ok(!state.includes(secret()));
    assert.match(state, /"knownHosts": ?"/);
    assert.match(state, /"privateKey": ?\{/);
  });

  it("keyVersion 2 => rotated; nothing but sftp went over the command lines", async () => {
    await project.configure({ keyVersion: 2 });
    await project.succeed(["up", "--yes", "--skip-preview"]);
    assert.equal((await project.outputs())["activeKeyVersion"], 2);
    await project.succeed(["preview", "--expect-no-changes"]);
    const commands = new Set(ssh.servers.flatMap((server) => server.commands()));
    assert.deepEqual([...commands].sort(), ["date -u +%s.%N", "internal-sftp"]);
    const manifest = readFileSync(ssh.manifestFile(0), "utf8");
    assert.match(manifest, /--encryption-provider-config-automatic-reload=false/, "what somebody chose stays");
  });
});

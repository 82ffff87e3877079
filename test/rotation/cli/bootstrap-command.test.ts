import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { firstEncryptionConfig } from "../../../core/bootstrap";
import { encryptionConfigurationDocument } from "../../../core/encryption-configuration";
import { localKeyId } from "../../../core/local-key-file";
import { pluginInstance } from "../../../core/plugin-instance";
import { kubeadmLayout, type SelfManagedCluster } from "../../../core/self-managed-cluster";
import { isAsWritten } from "../../../rotation/adapters/hosts/sealed-manifest";
import { randomFrom } from "../random";
import { type SimulatedCluster, simulateCluster } from "../simulated-cluster";
import { type SimulatedCli, simulatedCli } from "./simulated-cli";

/** Sockets where the simulated fleet has them. */
const layout = { ...kubeadmLayout, pluginSocketDirectory: "/run" };
const selfManaged: SelfManagedCluster = {
  hosts: ["cp1", "cp2"].map((name, index) => ({ name, address: `10.0.0.${index}`, port: 22, layout })),
  ssh: { user: "root", knownHosts: "", sudo: false },
  kubernetes: { adminConfFile: "/etc/kubernetes/admin.conf" },
  plugin: { image: `registry.example/kms-etcd-plugin@sha256:${"1".repeat(64)}` },
};

interface CloudConfig {
  readonly write_files: readonly {
    readonly path: string;
    readonly owner: string;
    readonly permissions: string;
    readonly content: string;
  }[];
}

describe("kms-etcd bootstrap", function () {
  this.timeout(20_000);
  let cluster: SimulatedCluster;
  let cli: SimulatedCli;
  beforeEach(() => {
    cluster = simulateCluster({ hosts: 2, reload: "hot", objects: 10, clients: false, random: randomFrom(3) });
    cli = simulatedCli(cluster, { selfManaged });
  });
  afterEach(() => cli.close());

  const at = (command: string, ...more: string[]) => cli.run(command, ...more, ...cli.settings);
  const plugin = (version: number) =>
    pluginInstance({ kind: "local", file: cli.keyFile(version), keyId: localKeyId(Buffer.alloc(32, version)) });
  async function files() {
    const { code, stdout, stderr } = await at("bootstrap");
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^#cloud-config\n/);
    return (parse(stdout) as CloudConfig).write_files;
  }

  it("a cluster at rest under a key => its configuration and its plugin; the same as for a first boot with that key", async () => {
    assert.equal((await at("rotate", "1")).code, 0);
    const [config, manifest, ...more] = await files();
    assert.deepEqual(more, []);
    assert.deepEqual(
      [config?.path, config?.owner, config?.permissions],
      [layout.encryptionConfigFile, "root:root", "0600"],
    );
    const first = encryptionConfigurationDocument(firstEncryptionConfig(plugin(1), ["secrets"], layout));
    assert.deepEqual(parse(config?.content ?? ""), first);
    assert.equal(manifest?.path, `${layout.manifestDirectory}/${plugin(1).name}.yaml`);
    assert.ok(isAsWritten(manifest.content));
  });

  it("a key in Key Vault, named in a file => the plugin's pod with the vault, the key and its version", async () => {
    const file = join(cli.directory, "azure.yaml");
    const version = "5cdf48ea6bb9456ebf637e1130b7751a";
    const azure = `{ vaultName: k8skv, keyName: k8s, keyVersion: ${version} }`;
    writeFileSync(file, `local: {}\nkeys: [{ version: 1, azure: ${azure} }]\n`);
    assert.equal((await cli.run("rotate", "1", "--config", file)).code, 0);
    const { code, stdout, stderr } = await cli.run("bootstrap", "--config", file);
    assert.equal(code, 0, stderr);
    const [, manifest] = (parse(stdout) as CloudConfig).write_files;
    const pod = parse(manifest?.content ?? "") as { spec: { containers: { args: string[] }[] } };
    assert.deepEqual(pod.spec.containers[0]?.args.slice(0, 4), [
      "azure",
      "--keyvault-name=k8skv",
      "--key-name=k8s",
      `--key-version=${version}`,
    ]);
  });

  it("a rotation that stopped at WRITE => both readers in that order, and both plugins on ports of their own", async () => {
    assert.equal((await at("rotate", "1")).code, 0);
    await at("rotate", "2", "--advance-to", "write");
    const [config, ...manifests] = await files();
    const document = parse(config?.content ?? "") as { resources: { providers: { kms?: { endpoint: string } }[] }[] };
    assert.deepEqual(
      document.resources[0]?.providers.map(({ kms }) => kms?.endpoint),
      [2, 1].map((version) => `unix:///run/${plugin(version).socketFile}`),
    );
    const ports = manifests.map(({ content }) => /--healthz-port=127\.0\.0\.1:(\d+)/.exec(content)?.[1]);
    assert.deepEqual(ports, ["8787", "8788"]);
  });

  it("servers that differ, or one that cannot be seen => refused: no one configuration is in force", async () => {
    assert.equal((await at("rotate", "1")).code, 0);
    const [, second] = cluster.hosts;
    if (second === undefined) return assert.fail();
    const plaintext = { blocks: [{ resources: ["secrets"], providers: [{ kind: "identity" as const }] }] };
    const said = async (reason: RegExp) => {
      const { code, stderr } = await at("bootstrap");
      assert.notEqual(code, 0);
      assert.match(stderr, reason);
      assert.match(stderr, /remedy: let the rotation go on/);
    };
    second.config = plaintext;
    await said(/no one configuration in force: cp2 has not loaded its configuration yet/);
    second.loaded = plaintext;
    await said(/no one configuration in force: cp2 has another configuration than cp1/);
    second.downUntil = Number.POSITIVE_INFINITY;
    await said(/no one configuration in force: cp2 cannot be seen: connection refused/);
  });

  it("a plugin of a key that is not declared => refused, saying which socket", async () => {
    assert.equal((await at("rotate", "1")).code, 0);
    const { code, stderr } = await cli.run("bootstrap", "--control-plane", "simulated", "--key", `2=${cli.keyFile(2)}`);
    assert.notEqual(code, 0);
    assert.match(stderr, /unix:\/\/\/run\/kms-etcd-\w+\.socket, which is the plugin of no declared key/);
  });

  it("keys in the configuration itself => refused: they do not belong into a cloud-config", async () => {
    const secret = Buffer.alloc(32, 7).toString("base64");
    const start = {
      blocks: [{ resources: ["secrets"], providers: [{ kind: "aescbc" as const, keys: [{ name: "a", secret }] }] }],
    };
    cluster = simulateCluster({ hosts: 2, reload: "hot", objects: 2, clients: false, random: randomFrom(3), start });
    cli.close();
    cli = simulatedCli(cluster, { selfManaged });
    const { code, stdout, stderr } = await at("bootstrap");
    assert.notEqual(code, 0);
    assert.match(stderr, /has keys of its own \(aescbc\)/);
    assert.ok(!`${stdout}${stderr}`.includes(secret));
  });

  it("--print kubeadm-join => only that; a control plane that is not reached over SSH => refused", async () => {
    const join = await at("bootstrap", "--print", "kubeadm-join", "--kubeadm-api-version", "v1beta3");
    assert.equal(join.code, 0, join.stderr);
    assert.match(join.stdout, /^apiVersion: kubeadm\.k8s\.io\/v1beta3\nkind: JoinConfiguration\n/);
    cli.close();
    cli = simulatedCli(cluster);
    assert.match((await at("bootstrap")).stderr, /selfManaged is missing: bootstrap is for hosts reached over SSH/);
  });
});

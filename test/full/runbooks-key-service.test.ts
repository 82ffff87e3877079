import assert from "node:assert/strict";
import { ExitCode } from "../../rotation/cli/exit-code";
import { eventually } from "../e2e/support/eventually";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { sshCluster, withoutEncryption } from "../e2e/support/ssh-cluster";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";
import { type CloudKeys, cloudKeys } from "./support/cloud-keys";
import { projectTerminal } from "./support/project-terminal";
import { type RunbookProject, runbookProject } from "./support/runbook-project";
import type { Terminal } from "./support/terminal";

const secrets = 12;
const keys = 'azureKeyVault: { keyIds: config.requireObject<Record<string, string>>("keyIds") }';

/** On control-plane hosts behind SSH, with the tests' Key Vault: what `az` would do to the key the test does. */
describe("the runbooks for a key that cannot be used, command by command", function () {
  this.timeout(40 * 60_000);
  let clouds: CloudKeys;
  let cluster: RealCluster;
  let runbook: RunbookProject;
  let shell: Terminal;
  const closing: (() => Promise<unknown>)[] = [];

  before(async function () {
    skipFor(whyNoSshServer(), this);
    clouds = await cloudKeys();
    closing.push(() => clouds.close());
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    closing.push(() => cluster.close());
    await cluster.createSecrets(secrets);
    await withoutEncryption(cluster, true);
    const plugin = { ...(await clouds.azureHosts()), arguments: ["--probe-interval=1s"] };
    const ssh = await sshCluster(cluster, { plugin });
    closing.push(() => ssh.close());
    runbook = await runbookProject(ssh, keys);
    shell = await projectTerminal(runbook.project, await clouds.administrator());
    await useKeys(1);
    await shell.succeed("pulumi up");
    assert.deepEqual(Object.values(await cluster.storedProviders()), [secrets]);
  });
  after(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  const keyOf = (version: number) => clouds.vaultKey("runbooks", `etcd-${version}`);

  /** Encrypts with the newest of them, and declares them all. */
  async function useKeys(...versions: readonly number[]): Promise<void> {
    const named = versions.map((version) => [version, clouds.azureKey("runbooks", `etcd-${version}`)] as const);
    const keyIds = named.map(([version, { vaultName, keyName, keyVersion }]) => [
      version,
      `https://${vaultName}.vault.azure.net/keys/${keyName}/${keyVersion}`,
    ]);
    await runbook.project.configure({
      keyVersion: Math.max(...versions),
      keyIds: JSON.stringify(Object.fromEntries(keyIds)),
    });
    runbook.declare(Object.fromEntries(named));
  }

  const pids = () => cluster.controlPlane.hosts.map(({ name }) => cluster.pid(name, "kube-apiserver"));
  async function readyz(host: number): Promise<string> {
    const answer = await cluster.request(host, "GET", "/readyz?verbose").catch(() => undefined);
    return answer?.status === 200 ? "ready" : (answer?.text ?? "no answer");
  }
  const unready = () =>
    eventually("/readyz names the provider", 120, async () => /kms-provider\S* failed/.test(await readyz(0)));
  const readyAgain = () =>
    eventually("the plugins notice by themselves", 60, async () => {
      return (await Promise.all([readyz(0), readyz(1)])).every((said) => said === "ready");
    });

  async function assertReadable(): Promise<void> {
    for (let index = 0; index < secrets; index += 1) {
      const { status } = await cluster.request(index % 2, "GET", `/api/v1/namespaces/default/secrets/s${index}`);
      assert.equal(status, 200, "an API server that runs goes on reading");
    }
  }

  const ending = (text: string) => (text.includes("kms-etcd status") ? ExitCode.Blocked : ExitCode.Ok);

  it("key-disabled.md => status has the cloud's word, nothing has to be restarted once the key is back, and a retired version is reinstated", async () => {
    const before = pids();
    const said = await shell.follow("docs/runbooks/key-disabled.md", {
      ending,
      before: async (text) => {
        if (text.includes("kms-etcd status")) {
          keyOf(1).enabled = false;
          await unready();
          return assertReadable();
        }
        // As `az keyvault key set-attributes --enabled true` does.
        keyOf(1).enabled = true;
        await readyAgain();
        assert.deepEqual(pids(), before);
        await useKeys(1, 2);
        await shell.succeed("pulumi up");
        await shell.succeed("npx kms-etcd retire 1 --config kms-etcd.yaml");
        assert.equal(keyOf(1).enabled, false);
      },
    });
    assert.match(said, /disabled/);
    assert.equal(keyOf(1).enabled, true, "reinstated");
  });

  it("vault-unreachable.md, when a rotation has begun => status says so, up stops with the reason, and the next one gets there", async () => {
    const [before] = Object.keys(await cluster.storedProviders());
    await useKeys(1, 2, 3);
    const rotation = shell.start("pulumi up");
    // Before any server restarts: one that does cannot read without the vault.
    await eventually("it has begun", 300, () => rotation.said().includes("[1/6] Plugin"));
    const running = pids();
    const said = await shell.follow("docs/runbooks/vault-unreachable.md", {
      ending,
      before: async () => {
        for (const place of ["challenge", "encrypt", "decrypt"] as const)
          clouds.vaultFaults.order(place, { kind: "reset" }, Number.POSITIVE_INFINITY);
        await unready();
        await assertReadable();
      },
    });
    assert.match(
      said,
      /the connection to Key Vault at \S+ failed: \w+; check network, firewall and HTTPS_PROXY of this host/,
    );
    const { code, output } = await rotation.ended;
    assert.notEqual(code, 0, output);
    assert.match(output, /the connection to Key Vault|\/readyz says no: kms-provider/);
    assert.deepEqual(pids(), running, "the engine has restarted nothing");
    clouds.vaultFaults.clear();
    await readyAgain();
    await shell.succeed("pulumi up");
    const stored = await cluster.storedProviders();
    assert.deepEqual(Object.values(stored), [secrets]);
    assert.notEqual(Object.keys(stored)[0], before);
    await shell.succeed("pulumi preview --expect-no-changes");
    await assertReadable();
  });
});

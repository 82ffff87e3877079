import assert from "node:assert/strict";
import { join } from "node:path";
import { localProject } from "./support/local-project";
import type { PulumiProject } from "./support/pulumi-project";
import { type RealCluster, realCluster } from "./support/real-cluster";

const dieAfterOneAction = join(__dirname, "support", "die-after-one-action.cjs");
const secrets = 10;
/** A rotation of two restarting servers has 6 writes, 6 restarts, 4 starts and stops of plugins and a rewrite. */
const longestChain = 40;

/** Every `pulumi up` does one thing, then the CLI and the provider are killed. Restarting servers: every step is an action. */
describe("pulumi up, killed with its provider after every single action", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  let project: PulumiProject;

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    await cluster.createSecrets(secrets);
    ({ project } = await localProject(cluster));
  });
  after(() => cluster.close());

  const upArgs = ["up", "--yes", "--skip-preview"];

  /** Up to `lives` of them; true when the last one had nothing left to do. */
  async function chain(lives: number): Promise<boolean> {
    for (let life = 0; life < lives; life += 1) {
      const { code, signal, text } = await project.run(upArgs, { NODE_OPTIONS: `--require ${dieAfterOneAction}` });
      if (code === 0) return true;
      assert.equal(signal, "SIGKILL", text);
      await project.succeed(["cancel", "--yes", "test"]); // the killed CLI has left its lock
    }
    return false;
  }

  async function everythingReadable(): Promise<void> {
    for (const [host] of cluster.controlPlane.hosts.entries()) {
      for (let index = 0; index < secrets; index += 1) {
        const { status, text } = await cluster.request(host, "GET", `/api/v1/namespaces/default/secrets/s${index}`);
        assert.equal(status, 200, text);
        const { data } = JSON.parse(text) as { data: { value: string } };
        assert.equal(Buffer.from(data.value, "base64").toString(), `plaintext-${index}`);
      }
    }
  }

  async function assertAt(version: number): Promise<string> {
    const stored = Object.keys(await cluster.storedProviders());
    assert.equal(stored.length, 1, stored.join(", "));
    const { activeKeyVersion, evidence } = await project.outputs();
    assert.deepEqual([activeKeyVersion, (evidence as { complete: boolean }).complete], [version, true]);
    await project.succeed(["preview", "--expect-no-changes"]);
    await everythingReadable();
    return stored[0] ?? "";
  }

  it("in the first Create, so that there is no state => an undisturbed up converges from what it finds", async () => {
    await project.configure({ keyVersion: 1 });
    assert.equal(await chain(6), false);
    assert.ok(
      !Object.keys(await project.resources()).some((urn) => urn.includes("EncryptionRollout")),
      "no state of it",
    );
    await everythingReadable();
    await project.succeed(upArgs);
    await assertAt(1);
  });

  it("all the way through a rotation => the chain ends where an undisturbed one would", async () => {
    const [first] = Object.keys(await cluster.storedProviders());
    await project.configure({ keyVersion: 2 });
    assert.equal(await chain(longestChain), true, "the chain ends");
    assert.notEqual(await assertAt(2), first);
  });

  it("half-way through a rotation, then the previous keyVersion => converges there", async () => {
    const [second] = Object.keys(await cluster.storedProviders());
    await project.configure({ keyVersion: 3 });
    assert.equal(await chain(11), false);
    await everythingReadable();
    await project.configure({ keyVersion: 2, newestKeyVersion: 3 });
    await project.succeed(upArgs);
    assert.equal(await assertAt(2), second);
  });
});

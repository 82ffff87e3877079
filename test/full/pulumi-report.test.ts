import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { localControlPlaneFile } from "../../core/local-control-plane";
import { type PulumiProject, programFiles, pulumiProject, repository } from "../e2e/support/pulumi-project";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";

const components = join(repository, "dist", "components", "index.js");
const command = join(repository, "dist", "rotation", "cli.js");

/** One API server that restarts: what is tried here is the way of the key and of the report, through the real CLI. */
describe("the report of pulumi up, signed with a given key", function () {
  this.timeout(30 * 60_000);
  let cluster: RealCluster;
  let project: PulumiProject;
  let publicKeyFile: string;
  const { privateKey, publicKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const material = privateKey.split("\n")[1] ?? "";

  before(async () => {
    cluster = await realCluster({ automaticReload: false, hosts: 1 });
    await cluster.createSecrets(10);
    const directory = join(cluster.directory, "project");
    const controlPlaneFile = join(cluster.controlPlane.stateDirectory, localControlPlaneFile);
    project = await pulumiProject({
      directory,
      // The key as a plain text: whoever forgets to mark it as a secret must not find it in the state.
      files: programFiles(`
          const pulumi = require("@pulumi/pulumi");
          const { KmsEtcdEncryption } = require(${JSON.stringify(components)});
          const config = new pulumi.Config();
          const privateKey = config.get("signingKey"), privateKeyFile = config.get("signingKeyFile");
          exports.report = new KmsEtcdEncryption("etcd", {
            keyVersion: config.requireNumber("keyVersion"),
            localKey: { directory: ${JSON.stringify(join(directory, "keys"))} },
            local: { controlPlaneFile: ${JSON.stringify(controlPlaneFile)} },
            ...(privateKey ? { reportSigning: { privateKey } } : privateKeyFile ? { reportSigning: { privateKeyFile } } : {}),
          }).report;`),
    });
    publicKeyFile = join(directory, "public.pem");
    writeFileSync(publicKeyFile, publicKey);
    await project.configure({ keyVersion: 1 });
  });
  after(() => cluster.close());

  const up = (...more: string[]) => project.succeed(["up", "--yes", "--skip-preview", ...more]);

  /** What the command says of the stack's output. */
  async function verify(): Promise<{ code: number; text: string }> {
    const file = join(project.directory, "report.json");
    writeFileSync(file, String((await project.outputs())["report"]));
    const args = [command, "verify-report", file, "--public-key", publicKeyFile];
    return promisify(execFile)(process.execPath, args).then(
      ({ stdout }) => ({ code: 0, text: stdout }),
      (thrown: unknown) => {
        const { code, stdout } = thrown as { code: number; stdout: string };
        return { code, text: stdout };
      },
    );
  }

  it("without a key => the report says that it is not signed, and nobody takes it for more", async () => {
    await up();
    const report = JSON.parse(String((await project.outputs())["report"])) as { unsigned?: boolean };
    assert.equal(report.unsigned, true);
    const { code, text } = await verify();
    assert.notEqual(code, 0);
    assert.match(text, /not to be trusted: it is not signed; it says:\npulumi up of .* to .*: done/);
  });

  it("with a key as a text => signed; the key is encrypted in the state, and in no output or log", async () => {
    await project.configure({ keyVersion: 2 });
    await project.succeed(["config", "set-all", "--secret", `signingKey=${privateKey}`]);
    const said = await up("--diff");
    const { code, text } = await verify();
    assert.equal(code, 0, text);
    assert.match(text, /^good: signed with sha256:[0-9a-f]{64}\npulumi up of .*: done/);
    assert.match(text, /proven complete/);
    const state = await project.succeed(["stack", "export"]);
    for (const where of [said, state, JSON.stringify(await project.outputs())]) {
      assert.ok(!where.includes(material));
      assert.ok(!where.includes(JSON.stringify(privateKey).slice(1, -1)));
    }
    assert.ok((await project.succeed(["stack", "export", "--show-secrets"])).includes(material), "it is in the state");
    await project.succeed(["preview", "--expect-no-changes"]);
  });

  it("with a key in a file => signed, and the state never has it", async () => {
    const file = join(project.directory, "signing.pem");
    writeFileSync(file, privateKey, { mode: 0o600 });
    await project.succeed(["config", "rm", "signingKey"]);
    await project.configure({ signingKeyFile: file, keyVersion: 3 });
    await up();
    assert.equal((await verify()).code, 0);
    assert.ok(!(await project.succeed(["stack", "export", "--show-secrets"])).includes(material));
    writeFileSync(publicKeyFile, generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }));
    assert.match((await verify()).text, /not to be trusted: it is signed with another key/);
  });
});

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments, stringify } from "yaml";
import { findTool } from "../../tools/find-tool";

const run = promisify(execFile);
const golden = (name: string) => join(__dirname, "..", "components", "golden", name);

type Document = Record<string, object> & { readonly kind: string };

/** What ControlPlaneBootstrap renders, put before the real kubeadm. */
describe("kubeadm with the configurations for a first boot", function () {
  this.timeout(30 * 60_000);
  let kubeadm: string;
  let directory: string;

  before(async () => {
    kubeadm = (await findTool("kubeadm", { report: (line) => process.stdout.write(`${line}\n`) })).path;
    directory = mkdtempSync(join(tmpdir(), "kubeadm-"));
  });
  after(() => directory && rmSync(directory, { recursive: true }));

  /** The golden file merged into a user's own, as its documentation says. */
  function merged(name: string, own: Readonly<Record<string, object>>): string {
    const documents = parseAllDocuments(readFileSync(golden(name), "utf8")).map(
      (document) => document.toJS() as Document,
    );
    const file = join(directory, name);
    writeFileSync(file, documents.map((document) => stringify({ ...document, ...own[document.kind] })).join("---\n"));
    return file;
  }
  const forInit = {
    InitConfiguration: { localAPIEndpoint: { advertiseAddress: "10.0.0.4" } },
    ClusterConfiguration: { kubernetesVersion: "v1.36.3", imageRepository: "registry.example" },
  };
  const forJoin = {
    JoinConfiguration: {
      discovery: {
        bootstrapToken: {
          token: "abcdef.0123456789abcdef",
          apiServerEndpoint: "10.0.0.4:6443",
          unsafeSkipCAVerification: true,
        },
      },
    },
  };

  for (const platform of ["azure", "aws"]) {
    it(`${platform}: init and join, merged into a user's own => valid`, async () => {
      for (const file of [
        merged(`bootstrap-${platform}.kubeadm-init.yaml`, forInit),
        merged(`bootstrap-${platform}.kubeadm-join.yaml`, forJoin),
      ]) {
        const { stdout } = await run(kubeadm, ["config", "validate", `--config=${file}`]);
        assert.equal(stdout.trim(), "ok");
      }
    });
  }

  it("a flag that kubeadm does not know => refused, so that the check above can fail", async () => {
    const file = merged("bootstrap-azure.kubeadm-init.yaml", {
      ...forInit,
      ClusterConfiguration: { ...forInit.ClusterConfiguration, apiServers: {} },
    });
    await assert.rejects(run(kubeadm, ["config", "validate", `--config=${file}`]), /unknown field/);
  });

  it("init phase control-plane apiserver => the manifest that the unit tests hold to be kubeadm's", async () => {
    const file = merged("bootstrap-azure.kubeadm-init.yaml", forInit);
    const flags = ["init", "phase", "control-plane", "apiserver", "--dry-run", `--config=${file}`];
    const out = mkdtempSync(join(directory, "out-"));
    await run(kubeadm, flags, { env: { ...process.env, KUBEADM_INIT_DRYRUN_DIR: out } });
    const made = readFileSync(join(out, "kube-apiserver.yaml"), "utf8");
    assert.equal(made, readFileSync(golden("kubeadm-1.36.3-kube-apiserver.yaml"), "utf8"));
  });
});

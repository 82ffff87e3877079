import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./support/eventually";
import { type PulumiProject, programFiles, pulumiProject, repository } from "./support/pulumi-project";

const standIn = join(__dirname, "..", "fakes", "kops", "kops-with-keypairs.cjs");
const name = "e2e.k8s.local";
const day = 86_400_000;

interface StandInState {
  readonly keysets: Record<string, { id: string; isPrimary?: boolean; distrustTimestamp?: string }[]>;
  readonly secrets: Record<string, string>;
  machines: { id: string; group: string }[];
  hold?: string;
  refuseRoll?: string;
}

const program = (directory: string) => `
const pulumi = require("@pulumi/pulumi");
const { KopsKeypairRotation, KopsSecretRotation } = require(${JSON.stringify(join(repository, "dist", "components"))});
const config = new pulumi.Config();
const kops = {
  clusterName: ${JSON.stringify(name)},
  stateStore: "s3://kops-state",
  program: ${JSON.stringify(standIn)},
  recordDirectory: ${JSON.stringify(join(directory, "records"))},
};
const rotation = new KopsKeypairRotation("keypairs", {
  kops,
  replaceMadeBefore: config.require("since"),
  advanceTo: config.get("stage"),
  clientsTrustKeypair: config.get("trust"),
  clientsUseKeypair: config.get("use"),
  adminCredentialLifetime: "2h",
});
if (config.get("docker") !== undefined) {
  new KopsSecretRotation("registry", { kops, secret: "dockerconfig", content: config.get("docker") });
}
exports.stage = rotation.stage;
exports.waitingFor = rotation.waitingFor;
exports.newKeypairId = rotation.newKeypairId;
exports.ca = rotation.certificateAuthority;
exports.admin = rotation.adminKubeconfig;
`;

describe("kOps' own credentials by the real Pulumi CLI, over a stand-in for kops", function () {
  this.timeout(20 * 60_000);
  let directory: string;
  let file: string;
  let project: PulumiProject;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-kops-credentials-"));
    file = join(directory, "kops.json");
    chmodSync(standIn, 0o755);
    const made = Date.now() - 30 * day;
    const keypair = (index: number) => ({
      id: `${((BigInt(made) * 1_000_000n) << 32n) + BigInt(index)}`,
      isPrimary: true,
      notBefore: new Date(made - 2 * day).toISOString(),
      notAfter: new Date(made + 3_650 * day).toISOString(),
    });
    const keysets = { "kubernetes-ca": [keypair(1)], "service-account": [keypair(2)] };
    const groups = { "control-plane-a": "ControlPlane", "nodes-a": "Node" };
    const told = JSON.stringify([
      Object.entries(keysets).map(([keyset, [only]]) => [keyset, only?.id, [only?.id]]),
      "",
    ]);
    const machines = ["control-plane-a", "nodes-a", "nodes-a"].map((group, index) => ({
      id: `i-${index}`,
      group,
      told,
    }));
    writeFileSync(file, JSON.stringify({ name, keysets, secrets: {}, groups, machines, told, made: 10 }));
    project = await pulumiProject({ directory, files: programFiles(program(directory)) });
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  const environment = () => ({ KOPS_STAND_IN: file });
  const run = (...args: string[]) => project.succeed(args, environment());
  const up = () => run("up", "--yes", "--skip-preview");
  const state = () => JSON.parse(readFileSync(file, "utf8")) as StandInState;
  const change = (changes: Partial<StandInState>) => writeFileSync(file, JSON.stringify({ ...state(), ...changes }));
  const commands = () =>
    readFileSync(`${file}.commands`, "utf8")
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as string[]).join(" "));
  /** Commands that change something, since the last time. */
  let seen = 0;
  const changes = () => {
    const all = commands();
    const fresh = all
      .slice(seen)
      .filter((line) => !/^(get|version|validate|export)|^update cluster(?!.*--yes)/.test(line));
    seen = all.length;
    return fresh.map((line) =>
      line.replaceAll(` --name ${name} --state s3://kops-state`, "").replace(/\d{20,}/g, "ID"),
    );
  };
  const marks = (keyset: string) =>
    state().keysets[keyset]?.map((each) =>
      each.isPrimary === true ? "primary" : each.distrustTimestamp === undefined ? "trusted" : "distrusted",
    );

  it("a moment that has not come => the preview fails, with the input's path, and kops was not asked", async () => {
    await project.configure({ since: "2126-01-01" });
    const { code, text } = await project.run(["preview"], environment());
    assert.notEqual(code, 0);
    assert.match(text, /replaceMadeBefore.*is "2126-01-01", which has not come/s);
    assert.equal(existsSync(`${file}.commands`), false);
  });

  it("up => staged and rolled everywhere, and it ends well, saying which input it waits for; again => no changes", async () => {
    await project.configure({ since: new Date(Date.now() - day).toISOString() });
    const text = await up();
    assert.match(text, /waiting: every client of the API has to trust the new CA first.*clientsTrustKeypair: "\d+"/s);
    assert.deepEqual(changes(), [
      "create keypair kubernetes-ca",
      "create keypair service-account",
      "update cluster --yes --create-kube-config=false",
      "rolling-update cluster --instance-group control-plane-a --yes",
      "rolling-update cluster --instance-group nodes-a --yes",
    ]);
    const outputs = await project.outputs();
    assert.deepEqual([outputs["stage"], outputs["waitingFor"]], ["Stage", "clientsTrustKeypair"]);
    assert.deepEqual([outputs["ca"], outputs["admin"]], ["[secret]", "[secret]"]);
    const { ca } = JSON.parse(await run("stack", "output", "--json", "--show-secrets")) as { ca: string };
    assert.equal(
      ca,
      state()
        .keysets["kubernetes-ca"]?.map(({ id }) => `CERTIFICATE ${id}\n`)
        .join(""),
    );
    const stored = await run("stack", "export");
    assert.doesNotMatch(stored, /PRIVATE-KEY-BY|CERTIFICATE \d/);
    await run("preview", "--expect-no-changes");
    assert.deepEqual(changes(), []);
  });

  it("clients trust it => the preview says that nodes can't join meanwhile; killed in the roll and run again => promoted", async () => {
    const { newKeypairId } = await project.outputs();
    await project.configure({ trust: String(newKeypairId) });
    assert.match(await run("preview", "--diff"), /new nodes may not be able to join/);
    change({ hold: "--instance-group nodes-a" });
    const { child, ended } = project.start(["up", "--yes", "--skip-preview"], environment());
    await eventually("kops was asked to roll the nodes", 240, () => existsSync(`${file}.held`));
    child.kill("SIGKILL");
    await ended;
    const { hold: _hold, ...rest } = state();
    writeFileSync(file, JSON.stringify(rest));
    await run("cancel", "--yes", "test");
    assert.match(await up(), /waiting: .*clientsUseKeypair: "\d+"/s);
    assert.deepEqual(marks("kubernetes-ca"), ["trusted", "primary"]);
    const done = changes();
    assert.equal(done.filter((line) => line.startsWith("promote")).length, 2);
    assert.equal(done.filter((line) => line.includes("--instance-group control-plane-a")).length, 1);
    assert.match(JSON.stringify(await project.outputs()), /"stage":"Promote"/);
  });

  it("clients use it => the previous ones are distrusted; back to Promote => trusted again, every machine replaced by force", async () => {
    const { newKeypairId } = await project.outputs();
    await project.configure({ use: String(newKeypairId) });
    await up();
    assert.deepEqual(
      [marks("kubernetes-ca"), marks("service-account")],
      [
        ["distrusted", "primary"],
        ["distrusted", "primary"],
      ],
    );
    changes();
    const machines = state().machines.map(({ id }) => id);
    await project.configure({ stage: "Promote" });
    await up();
    assert.deepEqual(changes(), [
      "trust keypair kubernetes-ca ID",
      "trust keypair service-account ID",
      "update cluster --yes --create-kube-config=false",
      "rolling-update cluster --instance-group control-plane-a --yes --force",
      "rolling-update cluster --instance-group nodes-a --yes --force",
    ]);
    assert.ok(state().machines.every(({ id }) => !machines.includes(id)));
  });

  it("back to Stage with a roll that fails => the previous ones issue, up fails with kOps' words; mended => it goes on", async () => {
    await project.configure({ stage: "Stage" });
    change({ refuseRoll: "nodes-a" });
    const { code, text } = await project.run(["up", "--yes", "--skip-preview"], environment());
    assert.notEqual(code, 0);
    assert.match(text, /error validating cluster after terminating instance: nodes-a/);
    assert.deepEqual(marks("kubernetes-ca"), ["primary", "trusted"]);
    change({ refuseRoll: "" });
    await up();
    await run("preview", "--expect-no-changes");
  });

  it("a Docker configuration, and another one => the earlier one is kept, every machine replaced; no text in an argument or the state", async () => {
    const config = (password: string) => JSON.stringify({ auths: { "registry.example": { auth: password } } });
    await project.configure({ docker: config("first-password") });
    await up();
    changes();
    const machines = state().machines.map(({ id }) => id);
    await project.configure({ docker: config("second-password") });
    await up();
    assert.deepEqual(changes(), [
      "create secret dockerconfig -f - --force",
      "update cluster --yes --create-kube-config=false",
      "rolling-update cluster --instance-group control-plane-a --yes --force",
      "rolling-update cluster --instance-group nodes-a --yes --force",
    ]);
    assert.equal(state().secrets["dockerconfig"], config("second-password"));
    assert.ok(state().machines.every(({ id }) => !machines.includes(id)));
    const records = join(directory, "records");
    const kept = readdirSync(records).filter((entry) => entry.startsWith("dockerconfig-") && !entry.endsWith(".json"));
    assert.equal(kept.length, 1);
    assert.equal(readFileSync(join(records, kept[0] ?? ""), "utf8"), config("first-password"));
    assert.equal(statSync(join(records, kept[0] ?? "")).mode & 0o777, 0o600);
    assert.doesNotMatch(`${commands().join("\n")}${await run("stack", "export")}`, /(first|second)-password/);
    await run("preview", "--expect-no-changes");
  });
});

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import type { CredentialCluster } from "../../core/credential-inputs";
import type { KeypairStage } from "../../core/keypair-stage";
import { createKopsRunner, type KopsCommand, type RunKopsCommand } from "../../rotation/adapters/kops/kops-process";
import { decideSecret } from "../../rotation/adapters/kops-credentials/decide-secret";
import { type OpenKeypairs, openKeypairs, openSecret } from "../../rotation/adapters/kops-credentials/open-credentials";
import { type CredentialOutcome, runCredentials } from "../../rotation/adapters/kops-credentials/run-credentials";
import { findTool } from "../../tools/find-tool";
import { findMotoPython } from "../fakes/aws/moto-python";
import { type MotoCloud, machineImage, startMotoCloud } from "../fakes/kops/moto-cloud";

const name = "e2e.k8s.local";
const never = new AbortController().signal;

interface Clients {
  readonly trust?: string;
  readonly use?: string;
}

interface Which {
  readonly keysets?: readonly string[];
  readonly madeBefore?: number;
}

interface NodeupConfig {
  readonly KeypairIDs?: Readonly<Record<string, string>>;
  readonly CAs?: Readonly<Record<string, string>>;
}

/**
 * The real kops against moto. No API server runs here, so rolls are --cloudonly, which the adapter itself never says, and validation is left
 * out. What machines get is read from their nodeup configuration in the store, which kops itself has made.
 */
describe("kOps' own credentials with the real kops", function () {
  this.timeout(60 * 60_000);
  let directory: string;
  let cloud: MotoCloud;
  let runner: RunKopsCommand;
  let cluster: CredentialCluster;
  let since: number;
  const commands: KopsCommand[] = [];

  before(async function () {
    const python = await findMotoPython();
    if (python === undefined) this.skip();
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-kops-credentials-"));
    closing.push(async () => rmSync(directory, { recursive: true, force: true }));
    mkdirSync(join(directory, "home"));
    cloud = await startMotoCloud(python, join(directory, "home"));
    closing.push(() => cloud.stop());
    const plain = createKopsRunner((await findTool("kops")).path, cloud.environment);
    runner = (command) => {
      commands.push(command);
      return plain(command);
    };
    cluster = {
      clusterName: name,
      stateStore: cloud.stateStore,
      program: "kops",
      recordDirectory: join(directory, "records"),
      rolling: {},
    };
    await ok([
      ...["create", "cluster", name, "--zones=us-east-1a", "--control-plane-count=1", "--networking=cni"],
      ...["--channel=none", "--kubernetes-version=1.36.0", `--image=${machineImage}`],
      ...["--control-plane-size=m5.large", "--node-size=m5.large"],
    ]);
    await ok(["update", "cluster", "--name", name, "--yes", "--create-kube-config=false"]);
    since = Date.now();
  });
  const closing: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  async function ok(args: readonly string[]): Promise<string> {
    const all = [...args, "--state", cloud.stateStore];
    const { code, stdout, stderr } = await runner({ args: all, timeoutMs: 20 * 60_000, signal: never });
    assert.equal(code, 0, stderr);
    return stdout;
  }

  const ways = () => ({
    run: runner,
    rollArguments: ["--cloudonly", "--control-plane-interval=1s", "--node-interval=1s"],
  });
  const told = async (role: string, group: string) =>
    parse((await cloud.object(`${name}/igconfig/${role}/${group}/nodeupconfig.yaml`)) ?? "{}") as NodeupConfig;
  const controlPlane = () => told("control-plane", "control-plane-us-east-1a");
  const instances = async () =>
    (JSON.parse(await ok(["get", "instances", "--name", name, "-o", "json"])) as { id: string; status: string }[]).sort(
      (a, b) => (a.id < b.id ? -1 : 1),
    );
  const certificates = (pem: string | undefined) => pem?.match(/BEGIN CERTIFICATE/g)?.length ?? 0;

  async function open(advanceTo: KeypairStage, clients: Clients, which: Which = {}): Promise<OpenKeypairs> {
    const goal = {
      keysets: which.keysets ?? ("all" as const),
      madeBefore: which.madeBefore ?? since,
      advanceTo,
      clientsTrust: clients.trust,
      clientsUse: clients.use,
    };
    return openKeypairs(cluster, goal, undefined, never, ways());
  }

  async function rotate(advanceTo: KeypairStage, clients: Clients = {}, which: Which = {}) {
    const { store, fleet } = await open(advanceTo, clients, which);
    const first = commands.length;
    const validate = async () => undefined;
    const outcome = await runCredentials({
      store,
      fleet: { ...fleet, validate },
      onEvent: () => undefined,
      signal: never,
    });
    const done = commands.slice(first).map(({ args }) => args.join(" "));
    return { ...outcome, done, rolls: done.filter((command) => command.startsWith("rolling-update")) };
  }

  const waitsFor = ({ waitingFor, reason }: CredentialOutcome<unknown>, input: string): string => {
    assert.ok(waitingFor !== undefined, reason);
    assert.equal(waitingFor.input, input);
    return waitingFor.value;
  };

  it("staged => every rotatable keyset has a second keypair, control plane and workers trust both CAs, all are new", async () => {
    const before = await instances();
    const outcome = await rotate("Distrust");
    waitsFor(outcome, "clientsTrustKeypair");
    assert.deepEqual(
      outcome.seen.keysets.map(({ name: keyset, keypairs }) => `${keyset} ${keypairs.length}`),
      [
        "apiserver-aggregator-ca 2",
        "etcd-clients-ca 2",
        "etcd-manager-ca-events 2",
        "etcd-manager-ca-main 2",
        "etcd-peers-ca-events 2",
        "etcd-peers-ca-main 2",
        "kubernetes-ca 2",
        "service-account 2",
      ],
    );
    assert.equal(outcome.rolls.length, 2);
    const { CAs } = await controlPlane();
    assert.ok(Object.values(CAs ?? {}).every((pem) => certificates(pem) === 2));
    const after = await instances();
    assert.ok(after.every(({ id, status }) => status === "UpToDate" && !before.some((other) => other.id === id)));
  });

  it("promoted, killed after its update and run again => the new keypairs issue, and every machine was replaced once", async () => {
    const trust = waitsFor(await rotate("Distrust"), "clientsTrustKeypair");
    const { store, fleet } = await open("Distrust", { trust });
    const killed = new Error("killed");
    const dying = {
      ...fleet,
      validate: async () => undefined,
      roll: () => Promise.reject(killed),
    };
    await assert.rejects(runCredentials({ store, fleet: dying, onEvent: () => undefined, signal: never }), killed);
    const outcome = await rotate("Distrust", { trust });
    assert.equal(waitsFor(outcome, "clientsUseKeypair"), trust);
    assert.equal(outcome.rolls.length, 2);
    assert.equal((await controlPlane()).KeypairIDs?.["kubernetes-ca"], trust);
    assert.equal((await told("node", "nodes-us-east-1a")).KeypairIDs?.["kubernetes-ca"], trust);
  });

  it("kubeconfigs => both CAs; admin credentials are issued by the new one; nothing is left on disk", async () => {
    const { kubeconfig } = await open("Distrust", {});
    const plain = await kubeconfig(undefined, never);
    assert.equal(certificates(plain.ca), 2);
    assert.doesNotMatch(plain.text, /client-key-data/);
    const admin = await kubeconfig("1h", never);
    assert.match(admin.text, /client-key-data/);
    for (const { args } of commands) assert.ok(!args.join(" ").includes("BEGIN"));
    const left = readdirSync("/dev/shm").filter((entry) => entry.startsWith("kms-etcd-"));
    assert.deepEqual(left, []);
  });

  it("distrusted => one CA; back to Promote => two again, and every machine replaced by force", async () => {
    const ca = (await controlPlane()).KeypairIDs?.["kubernetes-ca"] ?? "";
    const clients = { trust: ca, use: ca };
    assert.equal((await rotate("Distrust", clients)).kind, "done");
    assert.ok(Object.values((await controlPlane()).CAs ?? {}).every((pem) => certificates(pem) === 1));
    const before = await instances();
    const back = await rotate("Promote", clients);
    assert.equal(back.kind, "done");
    assert.ok(back.rolls.length === 2 && back.rolls.every((roll) => roll.includes("--force")));
    assert.ok(Object.values((await controlPlane()).CAs ?? {}).every((pem) => certificates(pem) === 2));
    const after = await instances();
    assert.ok(after.every(({ id }) => !before.some((other) => other.id === id)));
  });

  it("back to Stage, then to None => the previous ones issue again by their own numbers, then the staged ones are distrusted; all groups rolled each time", async () => {
    const promoted = (await controlPlane()).KeypairIDs ?? {};
    const trust = promoted["kubernetes-ca"] ?? "";
    const stage = await rotate("Stage", { trust });
    assert.equal(stage.kind, "done", stage.reason);
    const before = (await controlPlane()).KeypairIDs ?? {};
    for (const [keyset, id] of Object.entries(before)) {
      assert.notEqual(id, promoted[keyset]);
      const ours = (command: string) => command.startsWith(`promote keypair ${keyset} ${id} `);
      assert.ok(stage.done.some(ours), `${keyset} ${id}`);
    }
    assert.equal(stage.rolls.length, 2);
    const none = await rotate("None");
    assert.equal(none.kind, "done", none.reason);
    assert.ok(none.done.some((command) => command.startsWith(`distrust keypair kubernetes-ca ${trust} `)));
    assert.equal(none.rolls.length, 2);
    const { CAs, KeypairIDs } = await controlPlane();
    assert.deepEqual(KeypairIDs, before);
    assert.ok(Object.values(CAs ?? {}).every((pem) => certificates(pem) === 1));
    assert.ok((await instances()).every(({ status }) => status === "UpToDate"));
  });

  it("given keysets, keys of service accounts => through all stages without a wait, and no other keyset is touched", async () => {
    const before = (await controlPlane()).KeypairIDs ?? {};
    const workersWere = await told("node", "nodes-us-east-1a");
    const which = { keysets: ["service-account"], madeBefore: Date.now() };
    const outcome = await rotate("Distrust", {}, which);
    assert.equal(outcome.kind, "done", outcome.reason);
    // No worker holds a key of service accounts: kops takes none for old.
    assert.equal(outcome.rolls.length, 3);
    assert.ok(outcome.rolls.every((roll) => roll.includes("--instance-group control-plane-us-east-1a")));
    assert.deepEqual(await told("node", "nodes-us-east-1a"), workersWere);
    assert.ok((await instances()).every(({ status }) => status === "UpToDate"));
    const touched = outcome.done.filter((command) => /^(create|promote|distrust) keypair/.test(command));
    assert.ok(touched.length >= 3 && touched.every((command) => command.split(" ")[2] === "service-account"));
    const { "service-account": account, ...others } = (await controlPlane()).KeypairIDs ?? {};
    const { "service-account": former, ...same } = before;
    assert.deepEqual(others, same);
    assert.ok(account === undefined || account !== former);
  });

  it("a Docker configuration => kops takes no machine for old, so all are replaced by force; kept is what was there", async () => {
    const put = async (password: string) => {
      const text = JSON.stringify({ auths: { "registry.example": { auth: password } } });
      const { store, fleet } = await openSecret(cluster, { secret: "dockerconfig", text }, undefined, never, ways());
      const validate = async () => undefined;
      const run = { store, fleet: { ...fleet, validate }, onEvent: () => undefined, signal: never };
      const outcome = await runCredentials(run);
      assert.equal(outcome.kind, "done", outcome.reason);
      const facts = { updatedFor: undefined, validation: undefined, changed: false };
      const again = decideSecret(
        { ...outcome.seen, facts, settled: outcome.seen.fingerprint },
        { secret: "dockerconfig", text },
      );
      assert.equal(again.kind, "done");
    };
    await put("one");
    const before = await instances();
    await put("two");
    const after = await instances();
    assert.ok(after.every(({ id }) => !before.some((other) => other.id === id)));
    const kept = readdirSync(join(directory, "records")).filter((file) => /^dockerconfig-[0-9a-f]{64}$/.test(file));
    assert.equal(kept.length, 1);
    assert.match(await ok(["get", "secrets", "dockerconfig", "--name", name, "-o", "plaintext"]), /"auth":"two"/);
  });
});

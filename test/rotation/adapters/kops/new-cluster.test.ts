import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readersOf } from "../../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../../core/errors";
import { RotationStage } from "../../../../core/rotation-stage";
import { createKopsCli } from "../../../../rotation/adapters/kops/kops-cli";
import type { KopsGoal } from "../../../../rotation/adapters/kops/kops-decision";
import { freshRun } from "../../../../rotation/adapters/kops/kops-observation";
import { planKops } from "../../../../rotation/adapters/kops/plan-kops";
import { type KopsStored } from "../../../../rotation/adapters/kops/run-kops";
import { runKopsAlone } from "../../../../rotation/adapters/kops/run-kops-alone";
import { createSecretBackups } from "../../../../rotation/adapters/kops/secret-backups";
import { readSecretText } from "../../../../rotation/adapters/kops/secret-text";
import { type FakeKops, fakeKops } from "./fake-kops";
import { awsPlugin, kopsGoal } from "./kops-goals";
import { plainCluster } from "./simulated-kops";

const never = new AbortController().signal;
const unasked = () => Promise.reject(new KmsEtcdError("unreachable", "there is no API server to ask"));
const stored: KopsStored = { measure: unasked, rewrite: unasked, readThrough: unasked };

describe("a cluster that kOps has yet to make", () => {
  let directory: string;
  let fake: FakeKops;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-kops-"));
    fake = fakeKops(plainCluster);
    fake.state.hasKeypairs = false;
    fake.state.pending = ["ManagedFile/nodeupconfig-control-plane-a"];
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const kops = () =>
    createKopsCli({
      ...{ cluster: "e2e.k8s.local", run: fake.run, backups: createSecretBackups(join(directory, "backups")) },
      machines: { look: async () => [], strangers: async () => [] },
    });

  async function run(goal: KopsGoal) {
    const actions: string[] = [];
    const outcome = await runKopsAlone({
      ...{ goal, kops: kops(), stored, signal: never, withoutLease: true },
      alone: {
        lease: { read: unasked, write: unasked, remove: unasked, close: async () => undefined },
        identity: { holder: "this", isAlive: () => undefined },
      },
      onEvent: ({ kind, message }) => kind === "action" && actions.push(message),
    });
    return { ...outcome, actions };
  }

  const providers = () => readSecretText(fake.state.secret ?? "").blocks[0]?.providers ?? [];
  const assets = () => (fake.state.cluster.spec.fileAssets ?? []).map(({ name }) => name);

  it("advanceTo stops before the key writes => refused: nothing can begin half encrypted", async () => {
    const outcome = await run({ ...kopsGoal(1), advanceTo: RotationStage.Read });
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /^advanceTo is Read, but kOps has yet to make the cluster/);
    assert.deepEqual(outcome.actions, []);
  });

  it("kOps makes it in the middle of the run => the run ends, because it holds no Lease", async () => {
    const { run: kopsRun } = fake;
    const made: FakeKops = {
      ...fake,
      async run(...call) {
        const answer = await kopsRun(...call);
        if (fake.state.cluster.spec.encryptionConfig === true) fake.state.hasKeypairs = true;
        return answer;
      },
    };
    fake = made;
    await assert.rejects(run(kopsGoal(1)), { code: "blocked", message: /kOps has made the cluster in the middle/ });
    assert.equal(fake.state.secret, undefined);
  });

  it("the key => the plugin in the spec, then a secret with that key alone; kOps is left to make the cluster", async () => {
    const goal = kopsGoal(1);
    const seen = { ...(await kops().observe(never)), now: 0, run: freshRun };
    const planned = planKops(seen, goal).stages.flatMap(({ actions }) => actions.map(({ kind }) => kind));
    assert.deepEqual(planned, ["putCluster", "putSecret"]);
    const { kind, actions } = await run(goal);
    assert.equal(kind, "done");
    assert.deepEqual(actions, ["replace the cluster's spec", "replace the encryptionconfig secret"]);
    assert.equal(fake.state.cluster.spec.encryptionConfig, true);
    assert.deepEqual(assets(), [`${awsPlugin(1).name}.yaml`]);
    assert.equal(providers().length, 1);
    assert.ok(![...readersOf(providers())].includes("identity"));
    assert.ok(fake.commands.every(({ args }) => !args.includes("--yes") || args[0] !== "update"));
    assert.deepEqual((await run(goal)).actions, []);
  });

  it("another key before it is made => that one alone, and the first one's plugin is gone", async () => {
    await run(kopsGoal(1));
    const { kind } = await run(kopsGoal(2));
    assert.equal(kind, "done");
    assert.deepEqual(assets(), [`${awsPlugin(2).name}.yaml`]);
    assert.equal(providers().length, 1);
  });

  it("plaintext may be read => identity behind the key; no encryption => nothing is done", async () => {
    assert.deepEqual((await run(kopsGoal("identity"))).actions, []);
    assert.equal(fake.state.secret, undefined);
    await run(kopsGoal(1, { allowPlaintextReads: true }));
    assert.deepEqual(
      providers().map(({ kind }) => kind),
      ["kms", "identity"],
    );
  });

  it("a spec that machines can't use => refused before anything", async () => {
    const master = { name: "x.yaml", path: "/etc/kubernetes/manifests/x.yaml", roles: ["Master"], content: "x" };
    fake.state.cluster = { ...plainCluster, spec: { ...plainCluster.spec, fileAssets: [master] } };
    const { kind, reason } = await run(kopsGoal(1));
    assert.equal(kind, "blocked");
    assert.match(reason ?? "", /names Master/);
    assert.equal(fake.state.secret, undefined);
  });

  it("no machine, but keypairs => a cluster that stands still: what it has stored is not known, so it is left alone", async () => {
    fake.state.hasKeypairs = true;
    const { kind, reason } = await run(kopsGoal(1));
    assert.equal(kind, "blocked");
    assert.match(reason ?? "", /no machine that runs an API server/);
    assert.deepEqual([fake.state.secret, assets()], [undefined, []]);
  });
});

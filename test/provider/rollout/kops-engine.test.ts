import assert from "node:assert/strict";
import { type KopsCluster, KopsMachineAddress } from "../../../core/kops-cluster";
import { PluginFlavour } from "../../../core/plugin-flavour";
import { RotationStage } from "../../../core/rotation-stage";
import { createKopsEngine } from "../../../provider/rollout/kops-engine";
import type { RolloutGoal } from "../../../provider/rollout/rotation-engine";
import type { KopsCluster as KopsDocument } from "../../../rotation/adapters/kops/cluster-spec";
import type { OpenKopsCluster } from "../../../rotation/adapters/kops/open-kops-cluster";
import { runKops } from "../../../rotation/adapters/kops/run-kops";
import type { RewriteTarget } from "../../../rotation/decision";
import { defaultLimits } from "../../../rotation/goal";
import type { RewriteOutlook } from "../../../rotation/stored-objects";
import { awsPlugin, instanceGroups, keyArn, kopsGoal } from "../../rotation/adapters/kops/kops-goals";
import { seedCluster, seedConfiguration } from "../../rotation/adapters/kops/seed-002";
import { type SimulatedKopsOptions, simulateKops } from "../../rotation/adapters/kops/simulated-kops";
import { memoryLease } from "../../rotation/memory-lease";

const never = new AbortController().signal;
const objects = 60;

const cluster: KopsCluster = {
  ...{ clusterName: "e2e.k8s.local", program: "kops", machineAddress: KopsMachineAddress.Internal, rolling: {} },
  plugin: { image: "registry.example/kms-etcd-plugin:1", flavour: PluginFlavour.KmsEtcd },
};

const goal: RolloutGoal = {
  ...{ resources: ["secrets"], writer: awsPlugin(1), declared: [awsPlugin(1)], allowPlaintextReads: false },
  ...{ advanceTo: RotationStage.Prune, limits: defaultLimits },
};

const outlook: RewriteOutlook = {
  admission: [
    { resource: "secrets", mutatingWebhooks: ["stamp.example"], validatingWebhooks: ["quota.example"], policies: [] },
  ],
  reads: {
    ...{ objects, milliseconds: 100, all: true },
    failures: [{ resource: "secrets", namespace: "default", name: "lost", reason: "no key reads it" }],
  },
};

const backups = "s3://state/e2e.k8s.local/backups/etcd/main";

describe("the rollout's engine on kOps", function () {
  this.timeout(60_000);
  function survey(
    look: () => Promise<RewriteOutlook>,
    found?: Pick<SimulatedKopsOptions, "cluster" | "secret">,
    more: Partial<RolloutGoal> = {},
  ) {
    const world = simulateKops({ groups: instanceGroups(1), machines: 2, objects, random: () => 0.75, ...found });
    world.faults.aliases.set("alias/etcd", keyArn(1));
    const count = async (targets: readonly RewriteTarget[], servers: []) => ({
      ...{ method: "counted" as const, startedAt: 0, finishedAt: 0, servers },
      resources: targets.map(({ resource }) => ({ resource, objects, bytes: 0, keys: [], unknown: objects })),
    });
    const opened = {
      kops: world.kops,
      stored: {
        ...world.stored,
        outlook: look,
        count,
      },
      close: async () => undefined,
    } as unknown as OpenKopsCluster;
    return createKopsEngine(async () => opened).survey({ kind: "kops", cluster }, { ...goal, ...more }, never);
  }

  it("preview => how fast the rewrite goes by what was measured, who has a say in it, and what KMS is asked for", async () => {
    const { plan, lines } = await survey(async () => outlook);
    const [resource] = plan.rewrite?.resources ?? assert.fail();
    assert.deepEqual(
      [resource?.stale, resource?.mutatingWebhooks, resource?.validatingWebhooks],
      [objects, ["stamp.example"], ["quota.example"]],
    );
    assert.equal(plan.rewrite?.objectsPerSecond, 200);
    assert.match(plan.basis, /the API servers answered 600 reads\/s just now/);
    // Three rolls of two machines, each of which loads one KMS provider.
    assert.equal(plan.kmsCalls.encrypt, 6);
    assert.ok(plan.kmsCalls.status >= 6 && plan.kmsCalls.decrypt >= 2, JSON.stringify(plan.kmsCalls));
    const warnings = plan.warnings.join("\n");
    assert.match(warnings, /every write of secrets passes mutating webhooks stamp\.example; validating webhooks quota/);
    assert.match(warnings, /default\/lost: no key reads it cannot be read now/);
    const text = (lines?.("key version 1") ?? []).join("\n");
    assert.match(
      text,
      /Rewrite: secrets: 60 of 60, mutating webhook stamp\.example, validating webhook quota\.example/,
    );
    assert.match(text, /Rewrite: KMS: about \d+ Status, 6 Encrypt, \d+ Decrypt in all/);
    // Names of objects would stay in the state.
    assert.ok(!text.includes("lost"));
    assert.equal(plan.stages.find(({ stage }) => stage === RotationStage.Rewrite)?.objects, objects);
  });

  it("preview => how long looking at what is stored takes, what could not be looked for, and the stage that only looks", async () => {
    const { plan, lines } = await survey(async () => outlook);
    assert.match(plan.basis, /each proof offers every object to every API server again/);
    const said = plan.warnings.join("\n");
    assert.match(said, /secrets: objects that would be too long for etcd once they are encrypted were not looked for/);
    // 60 objects at 200/s, and the proof offers each to both servers; then they are read through one.
    const took = (stage: RotationStage) => plan.stages.find((entry) => entry.stage === stage)?.expectedMs ?? 0;
    assert.equal(took(RotationStage.Rewrite), 10_000 + 300 + 600);
    // Read through the first machine, and proven again with the last machines there.
    assert.equal(took(RotationStage.Prune) % 1_000, 100 + 600);
    const text = lines?.("key version 1") ?? [];
    const verify = text.indexOf("Verify: what is stored is counted by its key");
    assert.ok(verify > text.findIndex((line) => line.startsWith("Rewrite: ")));
    assert.ok(verify < text.findIndex((line) => line.startsWith("Prune: ")));
    const halfWay = await survey(async () => outlook, undefined, { advanceTo: RotationStage.Rewrite });
    assert.ok(!halfWay.lines?.("key version 1").some((line) => line.startsWith("Verify")));
  });

  it("preview => the keys that are retired in the end; resources that nobody named and that move with their block", async () => {
    const retire = [{ version: 1, plugin: awsPlugin(2) }];
    const { lines } = await survey(async () => outlook, undefined, { retire });
    assert.equal(lines?.("key version 1").at(-1), "Prune: then the key of version 1 is retired");
    assert.doesNotMatch((await survey(async () => outlook)).lines?.("key version 1").join() ?? "", /retired/);
    const shared = seedConfiguration.replace("  - secrets", "  - secrets\n  - configmaps");
    assert.notEqual(shared, seedConfiguration);
    const { plan } = await survey(async () => outlook, { cluster: seedCluster(), secret: shared });
    assert.match(
      plan.warnings.join("\n"),
      /configmaps: not in resources, but in one block .* is encrypted and rotated/,
    );
  });

  describe("a version to retire, of which kOps may have backups in the state store", () => {
    const withBackups = { ...cluster, stateStore: "s3://state" };
    const said = { ...withBackups, etcdBackupsWithoutKeyVersions: [1] };
    const both = { declared: [1, 2].map(awsPlugin), writer: awsPlugin(2) };
    // With both as retired AWS is not asked to enable one.
    const retired = both.declared.map(({ name }) => name);
    const retiring = { ...goal, ...both, retire: [{ version: 1, plugin: awsPlugin(1) }], retired };
    const refusal = `kOps' own backups of etcd in ${backups} may need it, and nothing looks into them \\(once those are gone .*write 1 into kops\\.etcdBackupsWithoutKeyVersions`;

    /** A cluster that has been brought to version 1, and one that has been rotated to 2. */
    async function at(version: 1 | 2) {
      const world = simulateKops({ groups: instanceGroups(1), machines: 2, objects, random: () => 0.75 });
      for (const writer of [1, version].map(awsPlugin)) {
        const wanted = kopsGoal(1, { ...both, writer });
        await runKops({ ...world, goal: wanted, onEvent: () => undefined, signal: never });
      }
      const count = async (targets: readonly RewriteTarget[], servers: []) => ({
        ...{ method: "counted" as const, startedAt: 0, finishedAt: 0, servers },
        resources: targets.map(({ resource }) => ({ resource, objects, bytes: 0, keys: [], unknown: objects })),
      });
      const stored = { ...world.stored, outlook: async () => outlook, count };
      const alone = { lease: memoryLease({ now: Date.now }), identity: { holder: "here", isAlive: () => true } };
      const opened = { kops: world.kops, stored, alone, close: async () => undefined } as unknown as OpenKopsCluster;
      return createKopsEngine(async () => opened);
    }

    it("preview => refused, with where they are and what to write once they are gone; that is said => not refused", async () => {
      const engine = await at(2);
      const problems = async (named: KopsCluster) =>
        (await engine.survey({ kind: "kops", cluster: named }, retiring, never)).retirementProblems;
      assert.match((await problems(withBackups))?.join() ?? "", new RegExp(`^version 1 cannot be retired: ${refusal}`));
      assert.match((await problems(cluster))?.join() ?? "", /\$KOPS_STATE_STORE\/e2e\.k8s\.local\/backups\/etcd\/main/);
      assert.deepEqual(await problems(said), []);
    });

    it("said before the rotation away from it => refused all the same: the backups of these days need it", async () => {
      const { retirementProblems } = await (await at(1)).survey({ kind: "kops", cluster: said }, retiring, never);
      assert.match(
        retirementProblems?.join() ?? "",
        /^version 1 cannot be retired: kOps' own backups .* need it as long as a server's configuration names it/,
      );
    });

    it("a run whose preview has not refused it => refuses it too, and does not ask AWS", async () => {
      const { outcome } = await (await at(2)).run(
        { kind: "kops", cluster: withBackups },
        retiring,
        () => undefined,
        never,
      );
      assert.equal(outcome.kind, "blocked");
      assert.match(outcome.reason ?? "", new RegExp(`^key version 1 is not retired: ${refusal}`));
    });
  });

  it("an adopted plugin that names its key by an alias => warned about; by its ARN => not", async () => {
    const byHand = JSON.stringify(seedCluster());
    const found = (text: string) => ({ cluster: JSON.parse(text) as KopsDocument, secret: seedConfiguration });
    const alias = byHand.replace(/arn:aws:kms:us-west-2:111122223333:key\/[0-9a-f-]+/, "alias/etcd");
    assert.notEqual(alias, byHand);
    const warnings = async (text: string) => (await survey(async () => outlook, found(text))).plan.warnings.join("\n");
    const said = await warnings(alias);
    assert.match(
      said,
      /aws-encryption-provider names its key by alias\/etcd, which is arn:aws:kms:\S+ now: an alias can be moved/,
    );
    assert.match(said, /The ARN takes its place before anything else, and each machine is replaced once for that/);
    assert.doesNotMatch(await warnings(byHand), /names its key by/);
  });

  it("what the rewrite would meet can't be looked at => the plan is there all the same, and says so", async () => {
    const { plan } = await survey(() => Promise.reject(new Error("no leave to list webhooks")));
    assert.equal(plan.blocked, undefined);
    assert.match(plan.warnings.join("\n"), /the rewrite could not be looked into: no leave to list webhooks/);
    assert.equal(plan.rewrite?.objectsPerSecond, 300);
  });
});

import assert from "node:assert/strict";
import { writerOf } from "../../../../core/encryption-configuration";
import { RotationStage } from "../../../../core/rotation-stage";
import type { FileAsset, KopsCluster } from "../../../../rotation/adapters/kops/cluster-spec";
import { decideKopsBy, type KopsRules, kopsRules } from "../../../../rotation/adapters/kops/decide-kops";
import { withArns } from "../../../../rotation/adapters/kops/key-aliases";
import { freshRun } from "../../../../rotation/adapters/kops/kops-observation";
import { planKops } from "../../../../rotation/adapters/kops/plan-kops";
import { readAssetPlugin } from "../../../../rotation/adapters/kops/plugin-manifest-reader";
import { runKops } from "../../../../rotation/adapters/kops/run-kops";
import { randomFrom } from "../../random";
import { instanceGroups, keyArn, kopsGoal } from "./kops-goals";
import { seedCluster, seedConfiguration, seedManifest } from "./seed-002";
import { Killed, type SimulatedKops, type SimulatedKopsOptions, simulateKops } from "./simulated-kops";

const never = new AbortController().signal;
const alias = "alias/etcd";
const aliasManifest = seedManifest.replace(/--key=\S+/, `--key=${alias}`);
type More = Parameters<typeof kopsGoal>[1];

function withManifest(content: string, more: Partial<FileAsset> = {}): KopsCluster {
  const seed = seedCluster();
  const fileAssets = seed.spec.fileAssets?.map((asset) =>
    asset.name === "aws-encryption-provider.yaml" ? { ...asset, content, ...more } : asset,
  );
  return { ...seed, spec: { ...seed.spec, ...(fileAssets && { fileAssets }) } };
}

describe("a plugin of a kOps cluster that gets another text", function () {
  this.timeout(300_000);

  const simulation = (more: Partial<SimulatedKopsOptions> = {}) =>
    simulateKops({ groups: instanceGroups(2), machines: 1, objects: 2, random: randomFrom(7), ...more });
  const adopted = (cluster = withManifest(aliasManifest), more: Partial<SimulatedKopsOptions> = {}) => {
    const world = simulation({ cluster, secret: seedConfiguration, ...more });
    world.faults.aliases.set(alias, keyArn(3));
    return world;
  };
  const run = (world: SimulatedKops, version: number | "identity", more: More = {}, rules: KopsRules = kopsRules) =>
    runKops({
      ...{ goal: kopsGoal(version, more), kops: world.kops, stored: world.stored, clock: world.clock, signal: never },
      decide: (observed, goal) => decideKopsBy(rules, observed, goal),
      onEvent: ({ stage, kind, message }) => world.log.push(`${stage} ${kind}: ${message}`),
    });
  const plan = async (world: SimulatedKops, version: number, more: More = {}) =>
    planKops({ ...(await world.kops.observe(never)), now: 0, run: freshRun }, kopsGoal(version, more));
  const newImage = { image: { image: "registry.example/kms-etcd-plugin:2" } };
  async function encrypted(more: Partial<SimulatedKopsOptions> = {}): Promise<SimulatedKops> {
    const world = simulation(more);
    assert.equal((await run(world, 1)).kind, "done");
    return world;
  }
  const keysOf = ({ state }: SimulatedKops) =>
    state.machines.map(({ assets }) =>
      assets.flatMap((text) => [...text.matchAll(/--key=([^\s\\"]+)/g)].map(([, key]) => key)),
    );

  /** What the machines have when the secret is changed for the first time. */
  function atFirstSecret(world: SimulatedKops): { keys: unknown; rolls: number } {
    const seen = { keys: undefined as unknown, rolls: 0 };
    const { putSecret } = world.kops;
    world.kops.putSecret = async (...request) => {
      seen.keys ??= keysOf(world);
      seen.rolls ||= world.rolls();
      return putSecret(...request);
    };
    return seen;
  }

  for (const namesHash of [true, false]) {
    it(`a key named by an alias => every machine has the ARN behind it before the secret changes, on ${namesHash ? "1.36" : "1.33"}`, async () => {
      const world = adopted(withManifest(aliasManifest), { namesHash });
      const seen = atFirstSecret(world);
      const planned = await plan(world, 2);
      assert.equal(planned.blocked, undefined);
      const [first] = planned.stages;
      // Servers that don't say what they have loaded are replaced once more, with the new plugin in the spec.
      const rolls = namesHash ? 2 : 4;
      assert.deepEqual([first?.stage, first?.rolls.length], [RotationStage.Plugin, rolls]);
      assert.match(first?.reason ?? "", /names its key by alias\/etcd, which is arn:aws:kms:\S+ now/);
      const outcome = await run(world, 2);
      assert.equal(outcome.kind, "done", outcome.reason);
      const keys = namesHash ? [keyArn(3)] : [keyArn(3), keyArn(2)];
      assert.deepEqual(seen, { keys: [keys, keys], rolls });
      assert.ok(world.log.some((line) => line.includes("read every object through")));
      assert.equal(world.state.record, undefined);
    });
  }

  it("left out, the rule is missed: the rotation begins with the alias", async () => {
    const world = adopted();
    const seen = atFirstSecret(world);
    const spec = kopsRules.spec.filter(({ name }) => name !== "noPluginIsNamedByAnAlias");
    await run(world, 2, {}, { ...kopsRules, spec });
    assert.deepEqual(seen.keys, [[alias], [alias]]);
  });

  it("a rotation that writes with another key already => gone on with: it needs the alias no more", async () => {
    const world = adopted();
    const spec = kopsRules.spec.filter(({ name }) => name !== "noPluginIsNamedByAnAlias");
    await run(world, 2, { advanceTo: RotationStage.Write }, { ...kopsRules, spec });
    world.faults.aliases.clear();
    assert.equal((await run(world, 2)).kind, "done");
  });

  it("an alias that KMS does not know => blocked before anything, by run and plan; the alias, the reason and what to do are named", async () => {
    const world = adopted();
    world.faults.aliases.clear();
    const outcome = await run(world, 2);
    assert.match(
      outcome.reason ?? "",
      /aws-encryption-provider names its key by alias\/etcd, and no rotation .*there is no alias/,
    );
    assert.match(outcome.remedy ?? "", /list-aliases/);
    assert.equal(world.effects(), 0);
    assert.deepEqual((await plan(world, 2)).blocked?.reason, outcome.reason);
  });

  it("an asset that workers get too, or of an instance group => not changed here, and said what to write where", async () => {
    const shared = withManifest(aliasManifest);
    const fileAssets = shared.spec.fileAssets?.map(({ roles: _, ...asset }) => asset);
    const forAll = adopted({ ...shared, spec: { ...shared.spec, ...(fileAssets && { fileAssets }) } });
    assert.match((await run(forAll, 2)).reason ?? "", /machines without an API server get it/);
    const ofGroup = adopted();
    const seen = await ofGroup.kops.observe(never);
    const aliases = seen.aliases?.map((found) => ({ ...found, group: "control-plane-us-west-2a" })) ?? [];
    const { blocked } = planKops({ ...seen, aliases, now: 0, run: freshRun }, kopsGoal(2));
    const { reason, remedy } = blocked ?? {};
    assert.match(reason ?? "", /file asset of the instance group control-plane-us-west-2a/);
    assert.match(
      remedy ?? "",
      /write --key=arn:aws:kms:\S+ into aws-encryption-provider\.yaml yourself \(kops edit instancegroup\)/,
    );
    assert.equal(forAll.effects() + ofGroup.effects(), 0);
  });

  it("a manifest as JSON in lines, quoted, in base64, with several keys => only the alias changes; folded text is left to people", () => {
    const asset = (content: string, isBase64 = false): FileAsset => ({
      ...{ name: "p.yaml", path: "/etc/kubernetes/manifests/p.yaml", content },
      ...(isBase64 && { isBase64 }),
    });
    const arns = new Map([
      ["alias/a", keyArn(1)],
      ["alias/ab", keyArn(2)],
    ]);
    const pod = (words: string) =>
      `kind: Pod # alias/a\nmetadata: {name: p}\nspec:\n  containers:\n  - name: p\n    args: ${words}\n`;
    const cases: readonly (readonly [string, string])[] = [
      ['[--key=alias/a, "--listen=/s"]', `[--key=${keyArn(1)}, "--listen=/s"]`],
      ['["--key=alias/ab,alias/a", --listen=/a,/b]', `["--key=${keyArn(2)},${keyArn(1)}", --listen=/a,/b]`],
      ["[--key, 'alias/a', --listen, /s]", `[--key, '${keyArn(1)}', --listen, /s]`],
    ];
    for (const [words, wanted] of cases) {
      assert.equal(withArns(asset(pod(words)), arns)?.content, pod(wanted));
      const encoded = (text: string) => Buffer.from(text).toString("base64").replace(/=+$/, "");
      assert.equal(withArns(asset(encoded(pod(words)), true), arns)?.content, encoded(pod(wanted)));
    }
    const folded = asset(pod('["--key=\\x61lias/a", --listen=/s]'));
    assert.deepEqual(readAssetPlugin(folded)?.keys, ["alias/a"]);
    assert.equal(withArns(folded, arns), undefined);
  });

  for (const advanceTo of [RotationStage.Write, RotationStage.Prune]) {
    it(`another image, advanceTo ${advanceTo} => by rolls of its own, as planned, each object read through the first machine; no key is changed`, async () => {
      const world = await encrypted();
      const [secret, rolls] = [world.state.secret, world.rolls()];
      const planned = await plan(world, 1, { ...newImage, advanceTo });
      assert.deepEqual(
        planned.stages.flatMap(({ stage, actions }) => actions.map(({ kind }) => `${stage} ${kind}`)),
        ["Plugin putCluster", "Plugin update", "Plugin roll", "Plugin roll"],
      );
      const outcome = await run(world, 1, { ...newImage, advanceTo });
      assert.equal(outcome.kind, "done", outcome.reason);
      assert.deepEqual([world.state.secret, world.rolls() - rolls], [secret, 2]);
      assert.ok(world.state.machines.every(({ assets }) => assets.some((text) => text.includes("plugin:2"))));
      assert.deepEqual((await plan(world, 1, { ...newImage, advanceTo })).stages, []);
    });
  }

  for (const namesHash of [true, false]) {
    it(`an image that does not start, ${namesHash ? "1.36" : "1.33"} => the text of before goes back for the next machine that boots, the others were not touched, and a mended one goes through`, async () => {
      const world = await encrypted({ namesHash });
      const [, second] = world.state.machines;
      const before = JSON.stringify(world.state.cluster);
      world.faults.brokenText = "plugin:2";
      const outcome = await run(world, 1, newImage);
      assert.equal(outcome.kind, "blocked");
      assert.match(outcome.reason ?? "", /the changed plugin is taken back: .*did not join/);
      assert.equal(JSON.stringify(world.state.cluster), before);
      assert.deepEqual(world.tasks(), []);
      assert.ok(second !== undefined && world.state.machines.includes(second));
      for (const machine of world.state.machines.filter(({ up }) => !up)) {
        world.terminate(machine);
        assert.ok(world.boot(machine.group).up);
      }
      const mended = { image: { image: "registry.example/kms-etcd-plugin:3" } };
      const next = await run(world, 1, mended);
      assert.equal(next.kind, "done", next.reason);
      assert.ok(world.state.machines.every(({ assets }) => assets.some((text) => text.includes("plugin:3"))));
    });
  }

  it("killed after a machine did not come up => the next run puts the text of before back", async () => {
    const world = await encrypted();
    const before = JSON.stringify(world.state.cluster);
    world.faults.brokenText = "plugin:2";
    const { roll } = world.kops;
    world.kops.roll = async (...request) => {
      await roll(...request);
      throw new Killed();
    };
    await assert.rejects(run(world, 1, newImage), Killed);
    world.kops.roll = roll;
    assert.match((await run(world, 1, newImage)).reason ?? "", /taken back: the cluster is not valid with it/);
    assert.equal(JSON.stringify(world.state.cluster), before);
  });

  it("objects that can't be read through a machine with it => the text of before goes back", async () => {
    const world = await encrypted();
    const before = JSON.stringify(world.state.cluster);
    world.faults.unreadable = "s1";
    assert.match((await run(world, 1, newImage)).reason ?? "", /taken back: 1 of 2 objects cannot be read through i-/);
    assert.equal(JSON.stringify(world.state.cluster), before);
  });

  for (const what of ["alias", "image"] as const) {
    it(`${what}: killed anywhere => the next run goes on, and ends with it on every machine`, async () => {
      let effects = 1;
      for (let kill = 0; kill < effects; kill += 1) {
        const world = what === "alias" ? adopted() : await encrypted();
        const start = world.effects();
        const [version, more] =
          what === "alias" ? ([2, { advanceTo: RotationStage.Write }] as const) : ([1, newImage] as const);
        world.faults.killAfter = start + kill;
        await run(world, version, more).catch((thrown: unknown) => {
          if (!(thrown instanceof Killed)) throw thrown;
        });
        world.faults.killAfter = Number.POSITIVE_INFINITY;
        const outcome = await run(world, version, more);
        assert.equal(outcome.kind, "done", `killed after ${kill}: ${outcome.reason}\n${world.log.join("\n")}`);
        for (const keys of keysOf(world)) assert.ok(!keys.includes(alias), `killed after ${kill}`);
        if (what === "image")
          assert.ok(world.state.machines.every(({ assets }) => assets.some((text) => text.includes("plugin:2"))));
        effects = Math.max(effects, world.effects() - start);
      }
      assert.ok(effects > 5, `${effects} moments`);
    });
  }

  it("a new key and a new image at once => the image comes with the key's own plugin: three rolls, not four", async () => {
    const world = await encrypted();
    const rolls = world.rolls();
    assert.equal((await run(world, 2, newImage)).kind, "done");
    assert.equal(world.rolls() - rolls, 3 * 2);
    assert.notEqual(writerOf(world.listIn(world.state.secret)), undefined);
  });
});

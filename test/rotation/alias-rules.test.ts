import assert from "node:assert/strict";
import type { EncryptionConfiguration } from "../../core/encryption-configuration";
import { KmsEtcdError } from "../../core/errors";
import { type Decide, decide, decideBy, progressRules, repairRules } from "../../rotation/decide";
import { firstObservation } from "../../rotation/first-observation";
import type { Fleet } from "../../rotation/fleet";
import type { KeyAlias, PluginObservation } from "../../rotation/observation";
import { planRotation } from "../../rotation/plan";
import { noKeyIsNamedByAnAlias, pluginsThatFailByArnGoBack } from "../../rotation/rules/alias-rules";
import type { Rule } from "../../rotation/rules/rule";
import { type RotationOptions, runRotation } from "../../rotation/run";
import { goalFor } from "./goals";
import { randomFrom } from "./random";
import { InvariantBroken, simulateCluster } from "./simulated-cluster";

const alias = "alias/etcd";
const arn = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const adopted = "aws-encryption-provider";
const servers = ["cp1", "cp2", "cp3"];
const kubeletDelay = 5_000;

/** The upstream guide's: KMS v1, and a plugin that somebody has put there. */
const start: EncryptionConfiguration = {
  blocks: [
    {
      resources: ["secrets"],
      providers: [
        { kind: "kms", apiVersion: "v1", name: adopted, endpoint: `unix:///run/${adopted}.socket`, timeout: "3s" },
        { kind: "identity" },
      ],
    },
  ],
};

/** What happens on the second of three hosts. */
const faults = ["denied", "away", "cut"] as const;
type Fault = (typeof faults)[number];

/** Hosts with a plugin of somebody's that names its key by an alias: what an engine may do to them, and what it must never do. */
function adoptedCluster(seed: number, fault?: Fault) {
  const random = randomFrom(seed);
  const reload = seed % 2 === 0 ? "hot" : "restart";
  const cluster = simulateCluster({ hosts: 3, reload, objects: 6, random, start });
  const { fleet, clock, hosts, log } = cluster;
  const trespasses: string[] = [];
  const answer: { seen: Partial<KeyAlias> } = { seen: { arn } };
  const world = { denied: fault === "denied", cuts: fault === "cut" ? 2 : 0 };
  const manifests = new Map(
    hosts.map(({ name }) => [name, { key: alias, runs: alias, writtenAt: 0, runsSince: 0, isUnconfirmed: false }]),
  );
  for (const host of hosts) {
    host.plugins.set(adopted, {
      startedAt: 0,
      image: "first",
      runs: { image: "first", since: 0 },
      answered: true,
      material: "theirs",
      broken: false,
      socketMissing: false,
    });
  }
  const of = (name: string) => manifests.get(name) ?? assert.fail(name);
  const pluginOf = (name: string) =>
    hosts.find((host) => host.name === name)?.plugins.get(adopted) ?? assert.fail(name);

  function kubelets(): void {
    for (const [name, manifest] of manifests) {
      if (manifest.runs === manifest.key || clock.now() < manifest.writtenAt + kubeletDelay) continue;
      manifest.runs = manifest.key;
      manifest.runsSince = clock.now();
      pluginOf(name).broken = world.denied && name === "cp2" && manifest.key === arn;
      log.push(`${clock.now()} ${name} runs its plugin with ${manifest.key}`);
    }
  }

  function write(name: string, key: string): void {
    Object.assign(of(name), { key, writtenAt: clock.now() });
    pluginOf(name).startedAt = clock.now();
  }

  async function cutOff(work: () => void): Promise<void> {
    const isCut = world.cuts > 0;
    if (isCut) world.cuts -= 1;
    const cut = new KmsEtcdError("unreachable", "the connection was cut");
    if (isCut && random() < 0.5) throw cut;
    work();
    if (isCut) throw cut;
  }

  function seenAs(name: string, plugin: PluginObservation): PluginObservation {
    const { key, runs, runsSince, isUnconfirmed } = of(name);
    if (plugin.name !== adopted) return plugin;
    const seen = { ...plugin, keyId: undefined, listeningSince: runsSince };
    if (key === alias) return { ...seen, aliases: [{ alias, arn: undefined, ...answer.seen }] };
    if (!isUnconfirmed) return seen;
    return { ...seen, namedByArn: runs === arn && plugin.problem === undefined ? "proven" : "unproven" };
  }

  const ported: Fleet = {
    ...fleet,
    async observe(signal) {
      kubelets();
      const seen = await fleet.observe(signal);
      return {
        ...seen,
        servers: seen.servers.map((server) => ({
          ...server,
          plugins: server.plugins.map((plugin) => seenAs(server.name, plugin)),
        })),
      };
    },
    nameKeysByArn: (name, _plugin, arns) =>
      cutOff(() => {
        const unsettled = [...manifests].filter(([other, { key, runs }]) => other !== name && key !== runs);
        if (unsettled.length > 0) trespasses.push(`${name}'s plugin was changed while ${unsettled[0]?.[0]}'s restarts`);
        const broken = servers.filter((other) => other !== name && pluginOf(other).broken);
        if (broken.length > 0) trespasses.push(`${name}'s plugin was changed while ${broken.join()}'s is away`);
        if (arns[alias] !== arn) trespasses.push(`the key became ${arns[alias]}`);
        write(name, arns[alias] ?? "");
        of(name).isUnconfirmed = true;
      }),
    restorePlugin: (name) =>
      cutOff(() => {
        if (!of(name).isUnconfirmed) return;
        write(name, alias);
        of(name).isUnconfirmed = false;
      }),
    confirmLoaded: async (name, hash) => {
      of(name).isUnconfirmed = false;
      await fleet.confirmLoaded?.(name, hash);
    },
    startPlugin: (name, plugin) => {
      forbidAliases(`a plugin was started on ${name}`);
      return fleet.startPlugin(name, plugin);
    },
    writeConfig: (wanted) => {
      forbidAliases(`${wanted.server}'s configuration was written`);
      return fleet.writeConfig(wanted);
    },
  };
  if (fault === "away") pluginOf("cp2").broken = true;

  function forbidAliases(what: string): void {
    const left = [...manifests].filter(([, { key }]) => key === alias).map(([name]) => name);
    if (left.length > 0) trespasses.push(`${what} while the key is an alias on ${left.join(", ")}`);
  }

  return {
    cluster,
    ported,
    trespasses,
    world,
    answer,
    pluginOf,
    keys: () => [...manifests.values()].map(({ key }) => key),
    giveAliasesBack: () => {
      for (const manifest of manifests.values()) Object.assign(manifest, { key: alias, runs: alias });
    },
  };
}

type Adopted = ReturnType<typeof adoptedCluster>;

function run({ cluster, ported }: Adopted, more: Partial<RotationOptions> = {}) {
  let looks = 0;
  return runRotation({
    goal: goalFor(1, servers),
    fleet: {
      ...ported,
      observe: (signal) => {
        if ((looks += 1) > 1_500) throw new Error("never ends");
        return ported.observe(signal);
      },
    },
    stored: cluster.stored,
    clock: cluster.clock,
    onEvent: ({ message }) => cluster.log.push(message),
    signal: new AbortController().signal,
    ...more,
  });
}

const plan = ({ cluster, ported }: Adopted) =>
  planRotation({
    goal: goalFor(1, servers),
    fleet: ported,
    stored: cluster.stored,
    signal: new AbortController().signal,
  });

/** What went wrong in one life; undefined where nothing did. */
async function firstTrouble(seed: number, rules: Decide, fault: Fault | undefined): Promise<string | undefined> {
  const adoption = adoptedCluster(seed, fault);
  try {
    const outcome = await run(adoption, { decide: rules });
    if (adoption.trespasses.length > 0) return adoption.trespasses[0];
    if (fault === "away") return outcome.kind === "blocked" ? undefined : "went on beside a plugin that is away";
    if (fault !== "denied") return outcome.kind === "done" ? undefined : `${outcome.kind}: ${outcome.reason}`;
    if (outcome.kind !== "blocked") return "said done with a plugin that cannot use its key";
    adoption.cluster.advance(10_000);
    await adoption.ported.observe(new AbortController().signal);
    return adoption.pluginOf("cp2").broken ? "left a plugin behind that cannot use its key" : undefined;
  } catch (thrown) {
    if (thrown instanceof InvariantBroken) return thrown.message.split("\n")[0];
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function replacing(rule: Rule, other: Rule | undefined): Decide {
  const change = (rules: readonly Rule[]) =>
    rules.flatMap((candidate) => {
      if (candidate !== rule) return [candidate];
      return other === undefined ? [] : [other];
    });
  return (observed, goal, endpointOf) =>
    decideBy(change(repairRules), change(progressRules), observed, goal, endpointOf);
}

/** The rule as one might write it: everywhere at once, whatever becomes of the one before. */
const everywhere: Rule = ({ observed }) => {
  const server = observed.servers.find(({ plugins }) => plugins.some(({ aliases }) => aliases !== undefined));
  const action = {
    kind: "nameKeysByArn",
    server: server?.name ?? "",
    plugin: adopted,
    arns: { [alias]: arn },
  } as const;
  return server && { kind: "act", stage: "Plugin", action, reason: "at once" };
};

describe("a plugin of somebody else's that names its key by an alias", function () {
  this.timeout(120_000);
  const lives = 10;

  for (const fault of [undefined, ...faults]) {
    it(`the real rules get through ${lives} lives (${fault ?? "no fault"})`, async () => {
      for (let seed = 0; seed < lives; seed += 1)
        assert.equal(await firstTrouble(seed, decide, fault), undefined, `seed ${seed}`);
    });
  }

  for (const [what, rules, fault] of [
    ["a rotation that begins from an alias", replacing(noKeyIsNamedByAnAlias, undefined), undefined],
    ["ARNs everywhere at once", replacing(noKeyIsNamedByAnAlias, everywhere), undefined],
    ["no way back from an ARN that may not be used", replacing(pluginsThatFailByArnGoBack, undefined), "denied"],
  ] as const) {
    it(`${what} => noticed`, async () => {
      for (let seed = 0; seed < lives; seed += 1) {
        if ((await firstTrouble(seed, rules, fault)) !== undefined) return;
      }
      assert.fail(`${what}: nothing noticed it`);
    });
  }

  it("the plan warns of it with its ARN, and has one host after the other; a run then does that, and the next plan says nothing of it", async () => {
    const adoption = adoptedCluster(1);
    const { warnings, stages, blocked } = await plan(adoption);
    assert.equal(blocked, undefined);
    assert.match(
      warnings.join("\n"),
      /the plugin aws-encryption-provider names its key by alias\/etcd, which is arn:aws:kms:\S+ now \(on cp1, cp2, cp3\): .*one host after the other, and with KMS v1 writes of encrypted objects through its server can fail meanwhile/,
    );
    const [first] = stages;
    assert.ok(first);
    assert.deepEqual(first.servers, servers);
    assert.match(first.summary, /an alias can be moved without a trace/);
    assert.equal((await run(adoption)).kind, "done");
    assert.deepEqual(adoption.keys(), [arn, arn, arn]);
    const done = adoption.cluster.log.filter((line) => line.includes(`put ${arn} in the place of ${alias}`));
    assert.equal(done.length, 3, done.join("\n"));
    assert.deepEqual((await plan(adoption)).warnings, []);
  });

  it("an ARN that a plugin may not use => its manifest goes back, the others stay, and it says what to mend; then it goes on", async () => {
    const adoption = adoptedCluster(2, "denied");
    const outcome = await run(adoption);
    assert.equal(outcome.kind, "blocked");
    assert.match(
      outcome.reason ?? "",
      /aws-encryption-provider on cp2 has not used its key by the ARN .*: socket does not answer; its manifest is as it was before/,
    );
    assert.match(outcome.remedy ?? "", /log of aws-encryption-provider on cp2 .*kms:RequestAlias/);
    assert.deepEqual(adoption.keys(), [arn, alias, alias]);
    adoption.world.denied = false;
    assert.equal((await run(adoption)).kind, "done");
    assert.deepEqual(adoption.keys(), [arn, arn, arn]);
  });

  it("stopped after each of its actions => the next run goes on from there", async () => {
    for (let actions = 1; actions < 6; actions += 1) {
      const adoption = adoptedCluster(4);
      assert.equal((await run(adoption, { maxActions: actions })).kind, "paused");
      assert.equal((await run(adoption)).kind, "done");
      assert.deepEqual(adoption.keys(), [arn, arn, arn]);
      assert.deepEqual(adoption.trespasses, []);
    }
  });

  it("killed after an ARN that may not be used => the next run puts the alias back", async () => {
    const adoption = adoptedCluster(2, "denied");
    assert.equal((await run(adoption, { maxActions: 2 })).kind, "paused");
    assert.deepEqual(adoption.keys(), [arn, arn, alias]);
    const outcome = await run(adoption);
    assert.equal(outcome.kind, "blocked");
    assert.deepEqual(adoption.keys(), [arn, alias, alias]);
  });

  it("an alias that KMS does not know, and one that stands where it can't be edited => nothing is begun, by run and plan", async () => {
    for (const [seen, reason, remedy] of [
      [
        { problem: { reason: "there is no alias", remedy: "list them" } },
        /alias\/etcd \(on cp1\), and no rotation is begun from an alias: there is no alias/,
        /list them/,
      ],
      [
        { arn, byHand: { reason: "systemd runs it", remedy: "do it there" } },
        /which is arn:\S+ now \(on cp1\), .*: systemd runs it/,
        /do it there/,
      ],
      [{}, /KMS was not asked which key it is/, /write its ARN there/],
    ] as const) {
      const adoption = adoptedCluster(3);
      adoption.answer.seen = seen;
      const effects = adoption.cluster.effects();
      for (const said of [await run(adoption), (await plan(adoption)).blocked]) {
        assert.match(said?.reason ?? "", reason);
        assert.match(said?.remedy ?? "", remedy);
      }
      assert.equal(adoption.cluster.effects(), effects);
      assert.deepEqual(adoption.keys(), [alias, alias, alias]);
    }
  });

  it("a plugin of another host that does not answer, though its server is ready => waited for, then said; nothing is restarted", async () => {
    const adoption = adoptedCluster(3);
    const goal = goalFor(1, servers);
    const seen = firstObservation(await adoption.ported.observe(new AbortController().signal), 0);
    const changed = seen.servers.map((server) => ({
      ...server,
      plugins: server.plugins.map((plugin) => (server.name === "cp3" ? { ...plugin, problem: "sudo: no" } : plugin)),
    }));
    const decided = (now: number) => decide({ ...seen, servers: changed, now }, goal, adoption.ported.endpoint);
    const early = decided(1);
    assert.equal(early.kind === "wait" && early.reason, "aws-encryption-provider on cp3: sudo: no");
    const late = decided(goal.limits.plugin + 1);
    assert.match(
      late.kind === "blocked" ? late.reason : "",
      /while another one does not answer: aws-encryption-provider on cp3/,
    );
  });

  it("a cluster that writes with the goal's key already => gone on with: it needs the alias no more", async () => {
    const adoption = adoptedCluster(5);
    assert.equal((await run(adoption, { goal: goalFor(1, servers, { advanceTo: "Write" }) })).kind, "done");
    adoption.giveAliasesBack();
    adoption.answer.seen = { problem: { reason: "there is no alias", remedy: "list them" } };
    assert.equal((await run(adoption)).kind, "done");
  });
});

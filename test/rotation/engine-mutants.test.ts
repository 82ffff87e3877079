import assert from "node:assert/strict";
import { writerOf } from "../../core/encryption-configuration";
import { providerName } from "../../core/provider-name";
import { RotationStage } from "../../core/rotation-stage";
import { type Decide, decideBy, preconditions, progressRules, repairRules } from "../../rotation/decide";
import type { Decision } from "../../rotation/decision";
import { everyFileCanBeUsed, serversGoBack } from "../../rotation/rules/file-rules";
import {
  everyFileIsLoaded,
  everyLiveServerIsListed,
  everyNamedPluginIsThere,
  everyServerIsReady,
  noServerStaysAway,
  nothingFailedInThisRun,
} from "../../rotation/rules/fleet-rules";
import { everyServerUsesTheKeyId } from "../../rotation/rules/key-id-rule";
import { etcdIsNotBusy, etcdIsWell, noUpgradeIsUnderWay } from "../../rotation/rules/other-work-rules";
import { failingPluginsGetTheirSettings, pluginsRunAsDeclared } from "../../rotation/rules/plugin-rules";
import {
  differencesAreMeasured,
  everyServerReadsWhatIsNeeded,
  newKeyIsReadable,
  newPluginIsProven,
} from "../../rotation/rules/reader-rules";
import type { Rule } from "../../rotation/rules/rule";
import { waitingFilesAreHarmless } from "../../rotation/rules/waiting-file-rule";
import {
  everyObjectIsRewritten,
  newKeyWrites,
  oldProvidersLeave,
  theProofIsLateEnough,
  unusedPluginsStop,
} from "../../rotation/rules/writer-rules";
import { runRotation } from "../../rotation/run";
import type { Situation } from "../../rotation/situation";
import { apiOnly } from "./api-only";
import { goalFor, keyVersion } from "./goals";
import { randomFrom } from "./random";
import { InvariantBroken, Killed, simulateCluster } from "./simulated-cluster";
import { configHash } from "./simulated-host";

const faults = [
  ...(["wrongKey", "crash", "restored", "unlisted", "away", "refuses", "measureFails", "edited"] as const),
  // A file is spoilt; a server cannot start with the file that a killed engine has left; a backup comes back in a run.
  ...(["spoilt", "cannotStart", "restoredMeanwhile"] as const),
  // A backup comes back to a cluster whose etcd the engine cannot look into.
  ...(["restoredUnseen"] as const),
  // The KMS puts another key behind the plugins. Somebody upgrades servers, changes etcd's members, takes a backup.
  ...(["keyChanged", "upgrade", "etcdJoin", "etcdBackup"] as const),
  // Another image of the plugin is wanted; one that does not work, and then one that does.
  ...(["image", "brokenImage"] as const),
] as const;
type Fault = (typeof faults)[number];

/** Every rule that is left out, swapped or weakened must be noticed by the simulated cluster: else the model proves nothing. */
const mutants: readonly {
  readonly what: string;
  readonly decide: Decide;
  readonly fault?: Fault;
}[] = [
  without("the crosswise probe", newPluginIsProven, "wrongKey"),
  without("READ", newKeyIsReadable),
  without("the gate that every file is loaded", everyFileIsLoaded),
  without("REWRITE and its measurement", everyObjectIsRewritten),
  without("the wait for requests from before the gate", theProofIsLateEnough),
  without("the gate that every server is ready", everyServerIsReady, "crash"),
  without("the repair of readers", everyServerReadsWhatIsNeeded, "restored"),
  without("the measurement of differences", differencesAreMeasured, "restored"),
  without("the check for servers that nobody lists", everyLiveServerIsListed, "unlisted"),
  without("the plugin that a configuration names", everyNamedPluginIsThere, "restored"),
  without("the end of a run in which a gate failed", nothingFailedInThisRun, "refuses"),
  without("the end of a run in which a server stays away", noServerStaysAway, "away"),
  without("the repair of a file that somebody has spoilt", everyFileCanBeUsed, "spoilt"),
  without("the way back for a server that does not start", serversGoBack, "cannotStart"),
  {
    what: "proofs that outlive the etcd they were made in",
    fault: "restoredMeanwhile",
    decide: (observed, goal, endpointOf) => {
      const { etcd: _etcd, ...stored } = observed.stored ?? {};
      const readThrough = observed.readThrough.map(({ etcd: _position, ...proof }) => proof);
      const unbound = observed.stored === undefined ? {} : { stored: stored as NonNullable<typeof observed.stored> };
      return decideBy(repairRules, progressRules, { ...observed, ...unbound, readThrough }, goal, endpointOf);
    },
  },
  {
    what: "readers of declared keys left out where only the API says that something cannot be read",
    fault: "restoredUnseen",
    decide: (observed, goal, endpointOf) => {
      const resources = observed.stored?.resources.map(({ unreadable: _count, ...entry }) => entry) ?? [];
      const blind = observed.stored === undefined ? {} : { stored: { ...observed.stored, resources } };
      return decideBy(repairRules, progressRules, { ...observed, ...blind }, goal, endpointOf);
    },
  },
  without("the look at files that somebody else has written", waitingFilesAreHarmless, "edited"),
  without("the wait until servers have heard of another key_id", everyServerUsesTheKeyId, "keyChanged"),
  without("the look for an upgrade", noUpgradeIsUnderWay, "upgrade"),
  without("the look for a change of etcd's members", etcdIsWell, "etcdJoin"),
  without("the look for a backup of etcd", etcdIsNotBusy, "etcdBackup"),
  without("the new settings of plugins that run", pluginsRunAsDeclared, "image"),
  without("the new settings of plugins that fail", failingPluginsGetTheirSettings, "brokenImage"),
  {
    what: "another image everywhere at once",
    fault: "image",
    decide: ordered(progressRules.map((rule) => (rule === pluginsRunAsDeclared ? everyImageAtOnce : rule))),
  },
  {
    what: "PRUNE on all servers at once, without reading through one",
    decide: ordered(progressRules.map((rule) => (rule === oldProvidersLeave ? pruneAllAtOnce : rule))),
  },
  { what: "WRITE before READ", decide: ordered(swap(progressRules, newKeyIsReadable, newKeyWrites)) },
  { what: "PRUNE before REWRITE", decide: ordered(swap(progressRules, everyObjectIsRewritten, oldProvidersLeave)) },
  { what: "plugins stopped before PRUNE", decide: ordered(swap(progressRules, newPluginIsProven, unusedPluginsStop)) },
];

function without(what: string, rule: Rule, fault?: Fault) {
  const keep = (rules: readonly Rule[]) => rules.filter((candidate) => candidate !== rule);
  const decide: Decide = (observed, goal, endpointOf) =>
    decideBy(keep(repairRules), keep(progressRules), observed, goal, endpointOf, keep(preconditions));
  return { what: `without ${what}`, decide, ...(fault === undefined ? {} : { fault }) };
}

function ordered(progress: readonly Rule[]): Decide {
  return (observed, goal, endpointOf) => decideBy(repairRules, progress, observed, goal, endpointOf);
}

function swap(rules: readonly Rule[], a: Rule, b: Rule): readonly Rule[] {
  return rules.map((rule) => (rule === a ? b : rule === b ? a : rule));
}

/** PRUNE as one might write it: everything that is not the goal's goes, everywhere. */
function pruneAllAtOnce(situation: Situation): Decision | undefined {
  const writes = situation.observed.servers.flatMap((server) => {
    if (server.file === undefined) return [];
    const blocks = server.file.config.blocks.map((block) => ({ ...block, providers: block.providers.slice(0, 1) }));
    const changed = server.file.config.blocks.some((block) => block.providers.length > 1);
    return changed ? [{ server: server.name, expectedHash: server.file.hash, config: { blocks } }] : [];
  });
  if (writes.length === 0) return undefined;
  return { kind: "act", stage: RotationStage.Prune, action: { kind: "writeConfig", writes }, reason: "at once" };
}

/** Another image as one might roll it out: without waiting for the one before. */
function everyImageAtOnce({ observed, goal }: Situation): Decision | undefined {
  for (const server of observed.servers) {
    const plugin = goal.declared.find(({ name }) => server.plugins.some((seen) => seen.name === name && seen.outdated));
    if (plugin === undefined) continue;
    const action = { kind: "startPlugin", server: server.name, plugin } as const;
    return { kind: "act", stage: RotationStage.Plugin, action, reason: "at once" };
  }
  return undefined;
}

/** What went wrong in one life of a cluster: a broken invariant, a run that never ends, or a goal that is not reached. */
async function firstTrouble(
  seed: number,
  decide: Decide | undefined,
  fault: Fault | undefined,
): Promise<string | undefined> {
  const random = randomFrom(seed);
  const cluster = simulateCluster({ hosts: 3, reload: seed % 2 === 0 ? "hot" : "restart", objects: 8, random });
  const servers = cluster.hosts.map((host) => host.name);
  let steps = 0;
  const go = (version: number) =>
    runRotation({
      goal: goalFor(version, servers),
      fleet: {
        ...cluster.fleet,
        observe: (signal) => {
          steps += 1;
          if (steps > 3_000) throw new Error("never ends");
          return cluster.fleet.observe(signal);
        },
      },
      stored: fault === "restoredUnseen" ? apiOnly(cluster) : cluster.stored,
      clock: cluster.clock,
      onEvent: () => undefined,
      signal: new AbortController().signal,
      ...(decide === undefined ? {} : { decide }),
    });
  try {
    await go(1);
    const older = cluster.hosts[1]?.config;
    const backup = fault === "restoredUnseen" ? cluster.snapshot() : undefined;
    if (fault === "wrongKey") cluster.faults.wrongKeyOn = "cp2";
    if (fault === "unlisted") cluster.unlisted.push("cp9");
    if (fault === "measureFails") cluster.faults.measureFails = true;
    if (fault === "refuses") (cluster.hosts[0] as { refusesToLoad: boolean }).refusesToLoad = true;
    if (fault === "away") (cluster.hosts[2] as { downUntil: number }).downUntil = Number.POSITIVE_INFINITY;
    if (fault === "crash") (cluster.hosts[1] as { downUntil: number }).downUntil = cluster.clock.now() + 40_000;
    if (fault === "spoilt") (cluster.hosts[1] as { garbage: string | undefined }).garbage = "sha256:00";
    if (fault === "restoredMeanwhile") {
      cluster.faults.strike = {
        after: cluster.effects() + Math.floor(random() * 18),
        work: cluster.snapshot(),
        onLook: true,
      };
      const first = await go(2);
      // The sharper eye is the cluster's own: a server must not let go of what a restored backup needs.
      const lost = [...cluster.objects.values()].filter((object) => object.keyId !== "local-2");
      if (first.kind === "done" && lost.length > 0) return "said done, but it is not";
      cluster.faults.strike = undefined;
    }
    if (fault === "keyChanged") {
      cluster.changeKeyInPlace("local-1", "local-1-as-of-today");
      const { kind, reason } = await go(1);
      if (kind !== "done") return `${kind}: ${reason}`;
      const stale = [...cluster.objects.values()].filter(({ keyId }) => keyId !== "local-1-as-of-today");
      return stale.length === 0 ? undefined : "said done, but something has the key_id of before";
    }
    if (fault === "image" || fault === "brokenImage") {
      cluster.faults.image = fault === "image" ? "second" : "broken";
      const first = await go(1);
      if (fault === "brokenImage") {
        if (first.kind !== "blocked") return `${first.kind} with an image that does not work`;
        cluster.faults.image = "mended";
        const { kind, reason } = await go(1);
        if (kind !== "done") return `${kind}: ${reason}`;
      }
      const runs = cluster.hosts.flatMap((host) => [...host.plugins.values()].map((plugin) => plugin.runs?.image));
      return runs.every((image) => image === cluster.faults.image) ? undefined : "said done, but an old image runs";
    }
    if (fault === "upgrade" || fault === "etcdJoin" || fault === "etcdBackup") {
      const before = cluster.effects();
      const member = { name: "m1", version: "3.6.5", state: "voting", problems: [], underWay: [] } as const;
      if (fault === "upgrade") (cluster.hosts[seed % 3] as { version: string }).version = "v1.37.0";
      if (fault === "etcdJoin") cluster.faults.etcdMembers = [member, { ...member, name: "m2", state: "joining" }];
      if (fault === "etcdBackup") cluster.faults.etcdMembers = [{ ...member, underWay: ["snapshot"] }];
      const { kind } = await go(2);
      return kind === "blocked" && cluster.effects() === before ? undefined : "went on beside somebody else's work";
    }
    const endless =
      fault === "spoilt" ||
      fault === "restoredMeanwhile" ||
      fault === "restoredUnseen" ||
      fault === "restored" ||
      fault === "away" ||
      fault === "refuses" ||
      fault === "measureFails";
    if (!endless) cluster.faults.killAfter = cluster.effects() + Math.floor(random() * 14);
    await go(2).catch((thrown: unknown) => {
      if (!(thrown instanceof Killed)) throw thrown;
    });
    cluster.faults.killAfter = Number.POSITIVE_INFINITY;
    if (fault === "cannotStart") {
      const [stuck] = cluster.hosts;
      if (stuck === undefined || configHash(stuck.config) === configHash(stuck.loaded)) return undefined;
      stuck.refusesToLoad = true;
      stuck.downUntil = cluster.clock.now() + 1_000;
      cluster.advance(10_000);
      await go(2);
      if (cluster.clock.now() < stuck.downUntil) return "left a server behind that cannot start";
      stuck.refusesToLoad = false;
    }
    if (fault === "restored") {
      cluster.restore("s1", `kms/v2/${providerName("v2", keyVersion(1).key, "secrets")}`, "local-1");
      for (const host of cluster.hosts.slice(0, seed % 3)) host.plugins.clear();
    }
    backup?.();
    const [, edited] = cluster.hosts;
    // A server that is on its way up loads the edit before anybody can look at it.
    if (fault === "edited" && edited !== undefined && older !== undefined && edited.downUntil === 0) {
      edited.config = older;
      edited.writtenAt = cluster.clock.now();
      edited.nextPoll = cluster.clock.now() + 30_000;
    }
    const isAtSecond = fault === "restored" || fault === "restoredUnseen" || fault === "edited";
    const outcome = await go(isAtSecond ? 2 : 1);
    if (fault === "away" || fault === "refuses" || fault === "measureFails") {
      // Such a run cannot get to the goal, but it has to end, saying so; nothing may be lost meanwhile.
      cluster.checkReadable("after a run that could not get on");
      return undefined;
    }
    if (fault === "unlisted")
      return outcome.kind === "blocked" ? undefined : "went on beside a server that nobody listed";
    if (fault === "wrongKey") return undefined;
    if (outcome.kind !== "done") return `${outcome.kind}: ${outcome.reason}`;
    if (!outcome.evidence.complete) return "said done without complete evidence";
    const writers = new Set(cluster.hosts.map((host) => writerOf(cluster.listFor(host.loaded))));
    const stale = [...cluster.objects.values()].filter((object) => !writers.has(object.provider));
    return writers.size === 1 && stale.length === 0 ? undefined : "said done, but it is not";
  } catch (thrown) {
    if (thrown instanceof InvariantBroken) return thrown.message.split("\n")[0];
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

describe("mutants of the engine's rules", function () {
  this.timeout(600_000);
  /** Enough for each mutant; most are noticed in one of the first. */
  const lives = 60;
  /** The model test lives many more with the real rules. These are to show that it is the mutant that is noticed. */
  const realLives = 30;

  for (const fault of [undefined, ...faults]) {
    it(`the real rules get through ${realLives} lives (${fault ?? "kills only"})`, async () => {
      for (let seed = 0; seed < realLives; seed += 1)
        assert.equal(await firstTrouble(seed, undefined, fault), undefined, `seed ${seed}`);
    });
  }

  for (const mutant of mutants) {
    it(`${mutant.what} is noticed`, async () => {
      for (let seed = 0; seed < lives; seed += 1)
        if ((await firstTrouble(seed, mutant.decide, mutant.fault)) !== undefined) return;
      assert.fail(`${mutant.what}: nothing noticed it`);
    });
  }
});

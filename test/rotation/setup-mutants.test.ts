import assert from "node:assert/strict";
import { KmsEtcdError } from "../../core/errors";
import { type Decide, decideBy, progressRules, repairRules } from "../../rotation/decide";
import type { Fleet } from "../../rotation/fleet";
import type { SetUpNeed } from "../../rotation/observation";
import { trouble } from "../../rotation/rules/fleet-rules";
import type { Rule } from "../../rotation/rules/rule";
import { everyServerIsSetUp, setUpThatFailsIsUndone } from "../../rotation/rules/setup-rules";
import { runRotation } from "../../rotation/run";
import { goalFor } from "./goals";
import { randomFrom } from "./random";
import { InvariantBroken, simulateCluster } from "./simulated-cluster";

/** What happens to the second of three hosts that never heard of encryption. */
const faults = ["doesNotStart", "away", "refused", "crashes", "slow"] as const;
type Fault = (typeof faults)[number];

const need: SetUpNeed = { reason: "there is no --encryption-provider-config", reloadAfter: "hot" };

/** Hosts whose servers lack the flags, around the simulated cluster: what setting up does to them, and what it must never do. */
function unsetCluster(random: () => number, fault: Fault | undefined) {
  const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 6, random, clients: false });
  const { fleet, clock, hosts } = cluster;
  const lacking = new Set(hosts.map(({ name }) => name));
  /** Until they have been seen to run with it. */
  const unproven = new Set<string>();
  const asked = new Map<string, number>();
  const trespasses: string[] = [];
  let cuts = 1;
  const faulty = "cp2";
  const hostOf = (name: string) => hosts.find((host) => host.name === name) ?? assert.fail(name);
  const isUp = (name: string) => hostOf(name).downUntil <= clock.now();

  function requireOthersReady(name: string, what: string): void {
    const others = hosts.filter((host) => host.name !== name && (!isUp(host.name) || asked.has(host.name)));
    if (others.length > 0 && isUp(name))
      trespasses.push(
        `${what} ${name} while ${others.map((host) => host.name).join(", ")} was not ready (invariant 3)`,
      );
  }

  function settle(): void {
    for (const [name, downAt] of asked) {
      if (downAt > clock.now()) continue;
      // The kubelet has noticed: the old process ends, and the new one takes its time, or never comes up.
      asked.delete(name);
      const broken = name === faulty && !lacking.has(name);
      const time = broken && fault === "slow" ? 20_000 : 4_000 + random() * 4_000;
      hostOf(name).downUntil = broken && fault === "doesNotStart" ? Number.POSITIVE_INFINITY : clock.now() + time;
    }
  }

  const ported: Fleet = {
    ...fleet,
    async observe(signal) {
      settle();
      const seen = await fleet.observe(signal);
      return {
        ...seen,
        servers: seen.servers.map((server) => {
          const isWell = server.unreachable === undefined && !asked.has(server.name);
          if (isWell && !lacking.has(server.name)) unproven.delete(server.name);
          const refused = fault === "refused" && server.name === faulty ? { refused: "put the flag back" } : {};
          return {
            ...server,
            ...(lacking.has(server.name) && { setUp: { ...need, ...refused } }),
            ...(unproven.has(server.name) && { setUpUnproven: true as const }),
            restartRequestedAt: asked.has(server.name) ? clock.now() - 1_000 : server.restartRequestedAt,
          };
        }),
      };
    },
    async setUp(name) {
      if (fault === "refused" && name === faulty)
        trespasses.push(`set ${name} up, which a person has to look at first`);
      requireOthersReady(name, "set up");
      lacking.delete(name);
      unproven.add(name);
      asked.set(name, clock.now() + 1_000);
      if (fault === "crashes" && name === "cp1") hostOf("cp3").downUntil = clock.now() + 30_000;
    },
    async undoSetUp(name) {
      // The first time the connection is cut, before or after it is done.
      const isCut = cuts > 0;
      cuts -= 1;
      if (isCut && random() < 0.5) throw new KmsEtcdError("unreachable", "the connection was cut");
      lacking.add(name);
      unproven.delete(name);
      hostOf(name).downUntil = clock.now() + 3_000;
      if (isCut) throw new KmsEtcdError("unreachable", "the connection was cut");
    },
    async startPlugin(server, plugin) {
      if (lacking.size > 0) trespasses.push(`started a plugin before ${[...lacking].join(", ")} was set up`);
      await fleet.startPlugin(server, plugin);
    },
    async writeConfig(write) {
      if (lacking.has(write.server)) trespasses.push(`wrote a configuration that ${write.server} does not read`);
      await fleet.writeConfig(write);
    },
  };
  if (fault === "away") hostOf(faulty).downUntil = Number.POSITIVE_INFINITY;
  return { cluster, ported, lacking, trespasses, isUp, faulty };
}

/** What went wrong in one life; undefined where nothing did. */
async function firstTrouble(seed: number, decide: Decide, fault: Fault | undefined): Promise<string | undefined> {
  const { cluster, ported, lacking, trespasses, isUp, faulty } = unsetCluster(randomFrom(seed), fault);
  const servers = cluster.hosts.map(({ name }) => name);
  let looks = 0;
  try {
    const outcome = await runRotation({
      goal: goalFor(1, servers),
      fleet: {
        ...ported,
        observe: (signal) => {
          looks += 1;
          if (looks > 1_500) throw new Error("never ends");
          return ported.observe(signal);
        },
      },
      stored: cluster.stored,
      clock: cluster.clock,
      onEvent: () => undefined,
      signal: new AbortController().signal,
      decide,
    });
    if (trespasses.length > 0) return trespasses[0];
    if (fault === "away" || fault === "refused") return outcome.kind === "done" ? "went on all the same" : undefined;
    if (fault === "doesNotStart") {
      if (outcome.kind === "done") return "said done with a server that does not start";
      cluster.advance(10_000);
      return isUp(faulty) && lacking.has(faulty) ? undefined : "left a server behind that does not start";
    }
    return outcome.kind === "done" && lacking.size === 0 ? undefined : `${outcome.kind}: ${outcome.reason}`;
  } catch (thrown) {
    if (thrown instanceof InvariantBroken) return thrown.message.split("\n")[0];
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

function withRule(rule: Rule, other: Rule | undefined): Decide {
  const repair = repairRules.flatMap((candidate) => {
    if (candidate !== rule) return [candidate];
    return other === undefined ? [] : [other];
  });
  return (observed, goal, endpointOf) => decideBy(repair, progressRules, observed, goal, endpointOf);
}

const setUpNow = (server: string, reason: string) =>
  ({ kind: "act", stage: "Plugin", action: { kind: "setUp", server }, reason }) as const;

/** The rule as one might write it, without something that it needs. */
const careless: Readonly<Record<string, Rule>> = {
  /** Without the wait for the one before. */
  hasty: ({ observed }) => {
    const next = observed.servers.find(({ setUp, unreachable }) => setUp !== undefined && unreachable === undefined);
    return next && setUpNow(next.name, "at once");
  },
  /** Without the look at what a person has to do. */
  presumptuous: (situation) => {
    const servers = situation.observed.servers.map(({ setUp, ...server }) => {
      if (setUp === undefined) return server;
      const { refused: _, ...rest } = setUp;
      return { ...server, setUp: rest };
    });
    return everyServerIsSetUp({ ...situation, observed: { ...situation.observed, servers } });
  },
  /** Without the memory of what has failed in this run. */
  stubborn: (situation) => everyServerIsSetUp({ ...situation, observed: { ...situation.observed, setbacks: [] } }),
  /** Without the look at the others. */
  blind: ({ observed }) => {
    if (observed.servers.some(({ restartRequestedAt }) => restartRequestedAt !== undefined)) return undefined;
    const next = observed.servers.find((server) => server.setUp !== undefined && trouble(server) === undefined);
    return next && setUpNow(next.name, "whatever the others do");
  },
};

const mutants: readonly {
  readonly what: string;
  readonly decide: Decide;
  readonly faults: readonly (Fault | undefined)[];
}[] = [
  { what: "no setting up at all", decide: withRule(everyServerIsSetUp, undefined), faults: [undefined] },
  {
    what: "no way back from a manifest that fails",
    decide: withRule(setUpThatFailsIsUndone, undefined),
    faults: ["doesNotStart"],
  },
  { what: "the next one at once", decide: before(everyServerIsSetUp, careless["hasty"]), faults: [undefined] },
  {
    what: "what a person has to look at, done all the same",
    decide: withRule(everyServerIsSetUp, careless["presumptuous"]),
    faults: ["refused"],
  },
  {
    what: "again and again what has failed",
    decide: withRule(everyServerIsSetUp, careless["stubborn"]),
    faults: ["doesNotStart"],
  },
  {
    what: "one, whatever the others do",
    decide: before(everyServerIsSetUp, careless["blind"]),
    faults: ["crashes", "away"],
  },
];

/** `other` before every rule that waits for servers to be well, and `rule` not at all. */
function before(rule: Rule, other: Rule | undefined): Decide {
  const repair = [...(other === undefined ? [] : [other]), ...repairRules.filter((candidate) => candidate !== rule)];
  return (observed, goal, endpointOf) => decideBy(repair, progressRules, observed, goal, endpointOf);
}

describe("mutants of the rules for setting servers up", function () {
  this.timeout(120_000);
  const lives = 20;
  const real: Decide = (observed, goal, endpointOf) => decideBy(repairRules, progressRules, observed, goal, endpointOf);

  for (const fault of [undefined, ...faults]) {
    it(`the real rules get through ${lives} lives (${fault ?? "no fault"})`, async () => {
      for (let seed = 0; seed < lives; seed += 1)
        assert.equal(await firstTrouble(seed, real, fault), undefined, `seed ${seed}`);
    });
  }

  for (const mutant of mutants) {
    it(`${mutant.what} => noticed`, async () => {
      for (const fault of mutant.faults)
        for (let seed = 0; seed < lives; seed += 1)
          if ((await firstTrouble(seed, mutant.decide, fault)) !== undefined) return;
      assert.fail(`${mutant.what}: nothing noticed it`);
    });
  }
});

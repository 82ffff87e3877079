/**
 * Rules about the servers themselves, before any stage: nothing moves while a server is unknown, away, or on its way to
 * another configuration. They also repair: what failed goes back to what the server last ran with.
 */
import { endpointsOf, type ProviderItem, providerIds } from "../../core/encryption-configuration";
import { RotationStage } from "../../core/rotation-stage";
import type { Decision } from "../decision";
import type { Goal } from "../goal";
import type { ConfigFile, Observation, ServerObservation } from "../observation";
import { validReadThrough } from "../proofs";
import { declaredPlugin, type Situation } from "../situation";
import { slotProviders } from "../slots";
import { blocked, names, type Rule, wait } from "./rule";
import { setbackRemedy } from "./setback-remedy";

/** Invariant 10: the server set is discovered. A live server that nobody listed would be left with the wrong keys. */
export const everyLiveServerIsListed: Rule = ({ observed, goal }) => {
  const missing = goal.servers.filter((name) => !observed.servers.some((server) => server.name === name));
  if (missing.length > 0) {
    return blocked(
      RotationStage.Plugin,
      `nothing was seen of the listed ${missing.join(", ")}`,
      "check the server list and the network",
    );
  }
  if (observed.unlistedServers.length === 0) return undefined;
  return blocked(
    RotationStage.Plugin,
    `API server ${observed.unlistedServers.join(", ")} is live but not listed (${observed.discovery})`,
    "add it to the list of servers, or shut it down and wait until its identity Lease in kube-system has expired",
  );
};

/** Invariant 10: while live servers cannot be discovered, one that nobody listed may be among them. */
export const liveServersAreKnown: Rule = ({ observed, goal }) => {
  const { discoveryProblem } = observed;
  // With no server ready there is nobody to ask, and repair must go on.
  if (discoveryProblem === undefined || observed.servers.every((server) => trouble(server) !== undefined))
    return undefined;
  const since = observed.discoveryProblemSince ?? observed.now;
  if (observed.now - since <= goal.limits.ready) return wait(RotationStage.Plugin, discoveryProblem);
  return blocked(
    RotationStage.Plugin,
    `live API servers cannot be discovered: ${discoveryProblem}`,
    "let the client list Leases in kube-system, then run again",
  );
};

/** Invariant 4: a configuration that names a provider needs its plugin on that host. Always safe, so it comes first. */
export const everyNamedPluginIsThere: Rule = (situation) => {
  for (const server of situation.observed.servers) {
    for (const { slot } of situation.slots) {
      const configs = [server.file?.config, server.loaded.config].filter((config) => config !== undefined);
      const items: readonly ProviderItem[] = configs.flatMap((config) => slotProviders(config, slot));
      for (const id of items.flatMap(providerIds)) {
        const plugin = declaredPlugin(situation, slot, id);
        if (plugin === undefined || server.plugins.some((seen) => seen.name === plugin.name)) continue;
        return {
          kind: "act",
          stage: RotationStage.Plugin,
          action: { kind: "startPlugin", server: server.name, plugin },
          reason: `${server.name}'s configuration names ${id}, but its plugin is not on the host`,
        };
      }
    }
  }
  return undefined;
};

/** Invariant 3: nothing is restarted or rewritten while a server is away. Past the limit, back to what it last ran with. */
export const everyServerIsReady: Rule = (situation) => {
  const { observed } = situation;
  const troubled = observed.servers.filter((server) => trouble(server) !== undefined);
  // One that this run has given another file has been waited for before that, and can't get it but by a restart.
  const isWaitedFor = (server: ServerObservation) => isUntried(server) && observed.written.includes(server.name);
  const within = troubled.filter((server) => !isPastLimit(situation, server) && !isWaitedFor(server));
  const waitReason = (server: ServerObservation) => `${server.name}: ${trouble(server) ?? ""}`;
  if (within.length > 0) return wait(RotationStage.Plugin, within.map(waitReason).join("; "));
  for (const server of troubled) {
    const { file, lastReadyHash } = server;
    if (file === undefined || lastReadyHash === undefined || file.hash === lastReadyHash) continue;
    if (hasGoneBack(observed, server) || isUntried(server)) continue;
    return {
      kind: "act",
      stage: RotationStage.Read,
      action: {
        kind: "restoreLoaded",
        server: server.name,
        expectedHash: file.hash,
        loadedHash: lastReadyHash,
        failed: `${server.name} did not become ready with ${file.hash}: ${trouble(server) ?? ""}`,
      },
      reason: `${server.name} goes back to the configuration it was last ready with`,
    };
  }
  return undefined;
};

/** It reads its file at start only, and has not been started with this one: its trouble is another's, and the file may mend it. */
function isUntried({ reload, file, loaded, unreachable, restartRequestedAt }: ServerObservation): boolean {
  const isAsked = reload === "hot" || unreachable !== undefined || restartRequestedAt !== undefined;
  return !isAsked && loaded.hash !== undefined && file?.hash !== loaded.hash;
}

/** Comes after the reader repair, which is allowed to work on servers that are not ready (invariant 3's exception). */
export const noServerStaysAway: Rule = ({ observed }) => {
  const troubled = observed.servers.filter((server) => trouble(server) !== undefined);
  if (troubled.length === 0) return undefined;
  const gate = observed.setbacks.find((setback) => setback.kind === "notLoaded");
  const away = troubled.map((server) => [
    `${server.name}: ${trouble(server) ?? ""}`,
    pluginProblem(server),
    server.fileProblem?.reason,
  ]);
  return blocked(
    RotationStage.Plugin,
    [gate?.reason, ...away.flat()].filter(Boolean).join("; "),
    troubled.every((server) => server.unreachable !== undefined && server.file === undefined)
      ? `bring ${names(troubled)} back, or take it out of the list of servers if it is gone for good; then run again`
      : `bring ${names(troubled)} back (its API server's log says what it lacks), then run again`,
  );
};

/** Every server runs the file that is on its disk; what does not load in time is taken back before anything else. */
export const everyFileIsLoaded: Rule = (situation) => {
  const reachable = situation.observed.servers.filter((server) => server.unreachable === undefined);
  const pending = reachable.filter(
    (server) =>
      // One that has lost its flags while it runs would restart without a configuration: it is set up before.
      server.setUp?.namesNoConfig !== true &&
      (server.file === undefined || (server.file.hash !== server.loaded.hash && mayChange(situation, server))),
  );
  for (const server of pending) {
    const decision = gateDecision(situation, server);
    if (decision !== undefined) return decision;
  }
  if (pending.length === 0) return undefined;
  return wait(RotationStage.Read, pending.map((server) => loadingReason(server)).join("; "));
};

/** Invariant 3: a server that is ready does not restart while another one is not. */
function mayChange({ observed }: Situation, server: ServerObservation): boolean {
  if (server.reload === "hot" || server.restartRequestedAt !== undefined || trouble(server) !== undefined) return true;
  return observed.servers.every((other) => trouble(other) === undefined);
}

/**
 * A gate that failed in this run is not tried again in it: say what happened, and leave the rest as it is. One pass that could
 * not read everything is no end, once the server has its readers back: then what it could not read is rewritten.
 */
export const nothingFailedInThisRun: Rule = ({ observed }) => {
  const [setback, ...others] = observed.setbacks;
  if (setback === undefined) return undefined;
  const isStillSo = observed.servers.some((server) => (validReadThrough(observed, server)?.failures.length ?? 0) > 0);
  if (setback.kind === "unreadable" && others.length === 0 && !isStillSo) return undefined;
  return blocked(RotationStage.Read, setback.reason, setbackRemedy(setback));
};

export function trouble(server: ServerObservation): string | undefined {
  if (server.unreachable !== undefined) return `cannot be reached: ${server.unreachable}`;
  if (server.notReady !== undefined) return `/readyz says no: ${server.notReady}`;
  return undefined;
}

/**
 * Counted from when the trouble was first seen in this run: a request to restart from before may have been met long ago, which a
 * server that is away cannot say.
 */
function isPastLimit({ observed, goal }: Situation, server: ServerObservation): boolean {
  const { restartRequestedAt, troubleSince = observed.now } = server;
  if (restartRequestedAt === undefined) return observed.now - troubleSince > goal.limits.ready;
  return observed.now - Math.max(restartRequestedAt, troubleSince) > goal.limits.restart;
}

function gateDecision({ observed, goal }: Situation, server: ServerObservation): Decision | undefined {
  const { file, loaded } = server;
  if (file === undefined) {
    return blocked(
      RotationStage.Read,
      `${server.name} has no encryption configuration file${loaded.hash === undefined ? "" : `, though it has loaded ${loaded.hash}`}`,
      "start its API server with --encryption-provider-config, or put the file back: the backup directory has it by its hash",
    );
  }
  if (server.reload === "restart") {
    if (server.restartRequestedAt === undefined) {
      const away = pluginProblem(server);
      if (away !== undefined) return withoutPlugin(observed, goal, server, file, away);
      return {
        kind: "act",
        stage: RotationStage.Read,
        action: { kind: "restart", server: server.name },
        reason: `${server.name} reads its configuration at start only`,
      };
    }
    const askedAt = Math.max(server.restartRequestedAt, observed.runStartedAt);
    if (observed.now - askedAt <= goal.limits.restart) return undefined;
    return blocked(
      RotationStage.Read,
      `${server.name} was asked to restart ${seconds(observed.now - server.restartRequestedAt)} ago and still runs its old process`,
      "see whether the kubelet of that host works, then run again",
    );
  }
  // A run that finds an old file waiting gives it the full time too; so a clock that differs does no harm.
  if (observed.now - Math.max(file.writtenAt, observed.runStartedAt) <= goal.limits.reload) return undefined;
  const failed = `${server.name} did not load ${file.hash} within ${seconds(goal.limits.reload)} (${loaded.basis} still says ${loaded.hash ?? "nothing"}; ${loaded.failures} failed reloads)`;
  if (loaded.hash === undefined) {
    return blocked(RotationStage.Read, failed, `look at the log of ${server.name}'s API server, then run again`);
  }
  return {
    kind: "act",
    stage: RotationStage.Read,
    action: { kind: "restoreLoaded", server: server.name, expectedHash: file.hash, loadedHash: loaded.hash, failed },
    reason: `${server.name} goes back to the file it has loaded`,
  };
}

/** Once in a run: where going back did not help, going to and fro between two files would not end. */
function hasGoneBack({ setbacks }: Observation, server: ServerObservation): boolean {
  return setbacks.some(
    ({ kind, server: of, unfinished }) => kind === "notLoaded" && of === server.name && unfinished !== true,
  );
}

/** The problem of a plugin that the file names. A server that starts without it would not get ready. */
function pluginProblem({ file, plugins }: ServerObservation): string | undefined {
  const endpoints = file === undefined ? new Set<string>() : endpointsOf(file.config);
  // By the socket: a plugin that was adopted is called after its pod, which need not have anything to do with its socket's name.
  const away = plugins.find(({ endpoint, problem }) => problem !== undefined && endpoints.has(endpoint));
  return away && `${away.name}: ${away.problem ?? ""}`;
}

/** Waits for the plugin before a restart, and past its limit goes back to what runs. */
function withoutPlugin(
  observed: Observation,
  goal: Goal,
  server: ServerObservation,
  file: ConfigFile,
  away: string,
): Decision | undefined {
  const { loaded } = server;
  if (observed.now - Math.max(file.writtenAt, observed.runStartedAt) <= goal.limits.plugin) {
    return wait(RotationStage.Plugin, `${server.name}: ${away}`);
  }
  const failed = `${server.name} cannot restart with ${file.hash}: ${away}`;
  if (loaded.hash === undefined || hasGoneBack(observed, server))
    return blocked(RotationStage.Read, failed, "mend the plugin, then run again");
  return {
    kind: "act",
    stage: RotationStage.Read,
    action: { kind: "restoreLoaded", server: server.name, expectedHash: file.hash, loadedHash: loaded.hash, failed },
    reason: `${server.name} goes back to the file it has loaded`,
  };
}

function loadingReason(server: ServerObservation): string {
  const how = server.reload === "hot" ? "API servers look at the file once a minute" : "restarting";
  const failures = server.loaded.failures > 0 ? `, ${server.loaded.failures} failed reloads` : "";
  return `${server.name} to load ${short(server.file?.hash)} (${server.loaded.basis}: ${short(server.loaded.hash)}${failures}; ${how})`;
}

function seconds(milliseconds: number): string {
  return `${Math.max(0, Math.round(milliseconds / 1_000))} s`;
}

/** Enough of a hash to tell it from another by eye. */
function short(hash: string | undefined): string {
  return hash === undefined ? "none" : hash.slice(0, "sha256:".length + 8);
}

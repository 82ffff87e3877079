/**
 * The loop: observe, decide, do one thing, observe again. It keeps nothing that the cluster could not tell it again, but for
 * the proofs and the setbacks of this very run (invariant 7), so it may be killed anywhere and started with any goal.
 */
import { describeError, KmsEtcdError } from "../core/errors";
import type { RotationStage } from "../core/rotation-stage";
import { type Clock, systemClock } from "./clock";
import { type Decide, decide as decideByTheRules } from "./decide";
import type { Action, Measurement } from "./decision";
import { describeAction, describeMeasurement } from "./describe-steps";
import { type Evidence, evidenceOf } from "./evidence";
import type { Fleet, FleetObservation } from "./fleet";
import type { Goal } from "./goal";
import { withoutObjectNames } from "./object-names";
import type {
  Compaction,
  CrosswiseProof,
  EtcdMember,
  EtcdPosition,
  Observation,
  ReadThroughProof,
  Rewrites,
  ServerObservation,
  Setback,
  StoredProof,
  TakenSnapshot,
} from "./observation";
import { otherWorkSince } from "./other-work-since";
import { countRepetitions, mayPass, sameActions, transientRetries } from "./patience";
import { serverState, serverStates, validStored } from "./proofs";
import { rewriteScope } from "./rewrite-scope";
import { serversBehind } from "./rules/key-id-rule";
import { setbackRemedy } from "./rules/setback-remedy";
import { createRunEvents, type RotationEvent } from "./run-events";
import { settledSince } from "./settled";
import { type Situation, situationOf } from "./situation";
import type { StoredObjects } from "./stored-objects";

export interface RotationOutcome {
  /** `paused`: `maxActions` have been done. `cancelled`: the signal was aborted, at a safe point. */
  readonly kind: "done" | "blocked" | "cancelled" | "paused";
  readonly stage: RotationStage;
  readonly reason?: string;
  readonly remedy?: string;
  readonly evidence: Evidence;
  /** What the run has kept and removed besides, where that was asked for. */
  readonly snapshot?: TakenSnapshot;
  readonly compacted?: Compaction;
}

export interface RotationOptions {
  readonly goal: Goal;
  readonly fleet: Fleet;
  readonly stored: StoredObjects;
  readonly onEvent: (event: RotationEvent) => void;
  readonly signal: AbortSignal;
  /** Stop as `paused` after so many actions that change something. Default: no limit. */
  readonly maxActions?: number;
  readonly clock?: Clock;
  /** Default: `decide`. The tests put rules in that break an invariant, to see that it is noticed. */
  readonly decide?: Decide;
}

/** How often the cluster is looked at while waiting: a look costs a few small requests to each server. */
const pollInterval = 1_000;
/** After a rewrite that left objects behind, so that what refuses them gets a chance to recover. */
const rewriteBackOff = 5_000;

/** Carries the cluster to the goal, or says why not. Throws only for what is no state of the cluster (a bug, no permission). */
export async function runRotation(options: RotationOptions): Promise<RotationOutcome> {
  const { goal, fleet, stored, signal, clock = systemClock, decide = decideByTheRules } = options;
  const run = createRun(options, clock);
  let actions = 0;
  for (;;) {
    const [seen, etcd, members] = await Promise.all([
      fleet.observe(signal, goal.declared),
      stored.position?.(signal),
      stored.members?.(signal),
    ]);
    const observed = run.look(seen, etcd, members);
    await run.confirm(observed);
    if (signal.aborted)
      return run.outcome({
        kind: "cancelled",
        stage: run.stage(),
        reason: "stopped at a safe point; run again to go on",
      });
    const decision = decide(observed, goal, (plugin) => fleet.endpoint(plugin));
    run.enter(decision);
    switch (decision.kind) {
      case "done":
        return run.outcome({ kind: "done", stage: decision.stage });
      case "blocked":
        return run.outcome({
          kind: "blocked",
          stage: decision.stage,
          reason: decision.reason,
          remedy: decision.remedy,
        });
      case "wait":
        await run.waiting(decision.reason, () => clock.sleep(pollInterval, signal));
        break;
      case "measure":
        await run.guarded(() => run.measure(decision.measurement, stored, fleet));
        break;
      case "act":
        const hopeless =
          run.failureOf(decision.action) ?? (run.isInVain(decision.action) ? inVain(decision.action) : undefined);
        if (hopeless !== undefined) return run.outcome({ kind: "blocked", stage: decision.stage, ...hopeless });
        if (actions >= (options.maxActions ?? Number.POSITIVE_INFINITY))
          return run.outcome({ kind: "paused", stage: decision.stage });
        await run.guarded(() => run.act(decision.action, stored, fleet), decision.action);
        actions += 1;
        break;
    }
  }
}

function createRun(options: RotationOptions, clock: Clock) {
  const { goal, fleet, signal, onEvent } = options;
  const startedAt = clock.now();
  const troubleSince = new Map<string, number>();
  const lastReadyHash = new Map<string, string>();
  const confirmed = new Map<string, string>();
  const failures = new Map<string, KmsEtcdError>();
  const setbacks: Setback[] = [];
  let crosswise: readonly CrosswiseProof[] = [];
  let readThrough: readonly ReadThroughProof[] = [];
  let storedProof: StoredProof | undefined;
  let rewrites: Rewrites = { count: 0, failures: [] };
  let snapshot: TakenSnapshot | undefined;
  let compacted: Compaction | undefined;
  let settledAt: number | undefined;
  let discoveryProblemSince: number | undefined;
  const othersSince = otherWorkSince();
  let keyIdBehindSince: number | undefined;
  let observation: Observation | undefined;
  const written = new Set<string>();
  let failuresInARow = 0;
  const repetitions = countRepetitions();
  const { stage, emit, progress, enter, waiting } = createRunEvents(onEvent, clock);

  function look(
    seen: FleetObservation,
    etcd: EtcdPosition | undefined,
    members: readonly EtcdMember[] | undefined,
  ): Observation {
    const now = clock.now();
    const servers = seen.servers.map((server): ServerObservation => {
      const well = server.unreachable === undefined && server.notReady === undefined;
      if (well) troubleSince.delete(server.name);
      else if (!troubleSince.has(server.name)) troubleSince.set(server.name, now);
      if (well && server.loaded.hash !== undefined) lastReadyHash.set(server.name, server.loaded.hash);
      return {
        ...server,
        troubleSince: troubleSince.get(server.name),
        lastReadyHash: lastReadyHash.get(server.name),
      };
    });
    discoveryProblemSince = seen.discoveryProblem === undefined ? undefined : (discoveryProblemSince ?? now);
    const without: Observation = {
      now,
      runStartedAt: startedAt,
      servers,
      unlistedServers: seen.unlistedServers,
      discoveryProblem: seen.discoveryProblem,
      ...(discoveryProblemSince !== undefined && { discoveryProblemSince }),
      discovery: seen.discovery,
      ...(etcd && { etcd }),
      ...(options.stored.measuresByWriting && { measuresByWriting: true }),
      ...(members && { etcdMembers: members }),
      ...othersSince(now, servers, members ?? []),
      crosswise,
      stored: storedProof,
      readThrough,
      ...(snapshot && { snapshot }),
      ...(compacted && { compacted }),
      setbacks,
      written: [...written],
      rewrites,
      settledAt: undefined,
    };
    const situation = situationIn(without);
    const behind = situation !== undefined && serversBehind(situation).length > 0;
    keyIdBehindSince = behind ? (keyIdBehindSince ?? now) : undefined;
    settledAt = settledSince(settledAt, without, situation?.writersAreTheGoals === true && !behind);
    observation = { ...without, settledAt, ...(keyIdBehindSince !== undefined && { keyIdBehindSince }) };
    return observation;
  }

  /** A server that is seen to run its file, as it was set up and with its plugins, has nothing to go back to: once a file, and only where the host has a record. */
  async function confirm(observed: Observation): Promise<void> {
    for (const server of observed.servers) {
      const { name, file, loaded } = server;
      const well = server.unreachable === undefined && server.notReady === undefined && file !== undefined;
      const isSetUp = server.setUpUnproven === true && server.restartRequestedAt === undefined;
      const isNamed = server.plugins.some(({ namedByArn }) => namedByArn === "proven");
      if (server.fallback === undefined && !isSetUp && !isNamed) continue;
      if (!well || loaded.hash !== file.hash || confirmed.get(name) === file.hash) continue;
      confirmed.set(name, file.hash);
      // Without it a later run knows of one configuration too many, and looks closely at that before it uses it.
      await fleet.confirmLoaded?.(name, file.hash).catch((thrown: unknown) => {
        if (!(thrown instanceof KmsEtcdError)) throw thrown;
      });
    }
  }

  function situationIn(observed: Observation): Situation | undefined {
    try {
      return situationOf(observed, goal, (plugin) => fleet.endpoint(plugin));
    } catch {
      return undefined; // decide says what is wrong with the configuration
    }
  }

  /** Someone else changed a file: look again. Anything else that fails ends this run, with what was loaded left in place. */
  async function guarded(work: () => Promise<void>, action?: Action): Promise<void> {
    try {
      await work();
      failuresInARow = 0;
    } catch (thrown) {
      if (signal.aborted) return;
      if (!(thrown instanceof KmsEtcdError) || thrown.code === "internal") throw thrown;
      if (thrown.code === "conflict") {
        emit("warning", describeError(thrown));
        return;
      }
      if (mayPass(thrown) && (failuresInARow += 1) <= transientRetries) {
        emit("warning", `${describeError(thrown)}; trying again`);
        await clock.sleep(pollInterval * failuresInARow, signal);
        return;
      }
      const reason = withoutObjectNames(describeError(thrown));
      setbacks.push({ server: "", kind: "failed", what: thrown.code, reason });
      if (action !== undefined) failures.set(JSON.stringify(action), thrown);
    }
  }

  /** Whether the same action is wanted again and again: what it does is not seen, so doing it once more will not help. */
  function isInVain(action: Action): boolean {
    const times = repetitions(action);
    return action.kind !== "rewrite" && times > sameActions;
  }

  /** Why the same action has failed in this run: a repair comes before the rule that ends a run in which something failed. */
  function failureOf(action: Action): { readonly reason: string; readonly remedy: string } | undefined {
    const failure = failures.get(JSON.stringify(action));
    const remedy = failure?.remedy ?? setbackRemedy({ kind: "failed", server: "", what: "" });
    return failure && { reason: withoutObjectNames(failure.message), remedy };
  }

  async function measure(measurement: Measurement, stored: StoredObjects, ports: Fleet): Promise<void> {
    emit("measurement", describeMeasurement(measurement));
    const servers = observation?.servers ?? [];
    switch (measurement.kind) {
      case "crosswise": {
        const proof = await ports.probeCrosswise(measurement.plugin, measurement.servers, signal);
        crosswise = [...crosswise.filter((known) => known.plugin !== proof.plugin), proof];
        return;
      }
      case "stored":
        storedProof = await stored.measure(
          measurement.targets,
          serverStates(servers),
          progress("objects seen"),
          signal,
        );
        return;
      case "snapshot": {
        if (stored.snapshot === undefined) throw noWayToEtcd("etcdSnapshot");
        const { directory, writers } = measurement;
        snapshot = await stored.snapshot({ directory, writers }, progress("bytes or values of the snapshot"), signal);
        return;
      }
      case "readThrough": {
        const state = servers.filter((server) => server.name === measurement.server).map(serverState)[0];
        if (state === undefined) return;
        const proof = await stored.readThrough(state, measurement.resources, progress("objects read"), signal);
        const failure = proof.failures[0];
        if (failure !== undefined) {
          const what = `${proof.failures.length} of ${proof.objects} objects cannot be read through ${measurement.server}`;
          const reason = `${what} (${withoutObjectNames(failure.reason)})`;
          setbacks.push({ server: measurement.server, kind: "unreadable", what: state.loadedHash, reason });
        }
        const bound = observation?.etcd === undefined ? proof : { ...proof, etcd: observation.etcd };
        readThrough = [...readThrough.filter((known) => known.state.server !== state.server), bound];
        return;
      }
    }
  }

  async function act(action: Action, stored: StoredObjects, ports: Fleet): Promise<void> {
    emit("action", describeAction(action));
    switch (action.kind) {
      case "startPlugin":
        // What was tried was not this process.
        crosswise = crosswise.filter((proof) => proof.plugin !== action.plugin.name);
        return ports.startPlugin(action.server, action.plugin);
      case "stopPlugin":
        return ports.stopPlugin(action.server, action.plugin);
      case "nameKeysByArn":
        confirmed.delete(action.server);
        return ports.nameKeysByArn?.(action.server, action.plugin, action.arns);
      case "restorePlugin": {
        const { server, plugin, failed } = action;
        return goBack({ server, kind: "pluginFailed", what: plugin, reason: failed }, async () =>
          ports.restorePlugin?.(server, plugin),
        );
      }
      case "writeConfig":
        // One act: each write stands for itself, and what a kill or a failure leaves undone the next look finds.
        for (const write of action.writes) {
          await ports.writeConfig(write);
          written.add(write.server);
          // A file with the same bytes may come again: what could not be read then is to be read anew.
          readThrough = readThrough.filter(
            ({ state, failures: unread }) => unread.length === 0 || state.server !== write.server,
          );
          // A server in trouble gets its full time with the new file: others wait for it.
          troubleSince.delete(write.server);
        }
        return;
      case "restart":
        // For a server that was in trouble before it counts from here on.
        troubleSince.delete(action.server);
        return ports.restart(action.server);
      case "setUp":
        confirmed.delete(action.server);
        return ports.setUp?.(action.server);
      case "undoSetUp":
        return goBack({ server: action.server, kind: "notLoaded", what: "manifest", reason: action.failed }, async () =>
          ports.undoSetUp?.(action.server),
        );
      case "restoreLoaded": {
        const { server, expectedHash, loadedHash, failed } = action;
        const work = () => ports.restoreConfig(server, expectedHash, loadedHash);
        if (failed !== undefined)
          return goBack({ server, kind: "notLoaded", what: expectedHash ?? "", reason: failed }, work);
        troubleSince.delete(server);
        return work();
      }
      case "compact":
        if (stored.compact === undefined) throw noWayToEtcd("compactAfterPrune");
        compacted = await stored.compact(action.revision, progress("etcd members defragmented"), signal);
        return;
      case "rewrite": {
        if (rewrites.failures.length > 0) await clock.sleep(rewriteBackOff, signal);
        const servers = (observation?.servers ?? []).map((server) => server.name);
        const begun = clock.now();
        const result = await stored.rewrite(
          action.targets,
          servers,
          progress("objects rewritten"),
          signal,
          goal.rewriteBy,
          rewriteScope(observation && validStored(observation, action.targets), action.targets, rewrites.failures),
        );
        rewrites = { count: rewrites.count + 1, failures: result.failures, startedAt: begun };
        for (const failure of result.failures.slice(0, 5)) {
          emit(
            "warning",
            `${failure.resource} ${failure.namespace}/${failure.name} was not rewritten: ${failure.reason}`,
          );
        }
        storedProof = undefined;
        return;
      }
    }
  }

  /** What failed is known from here on, so that its like is not tried; the way back itself is, until it has been gone. */
  async function goBack(setback: Setback, work: () => Promise<void>): Promise<void> {
    const isSame = ({ server, kind, what, unfinished }: Setback) =>
      unfinished === true && server === setback.server && kind === setback.kind && what === setback.what;
    if (!setbacks.some(isSame)) setbacks.push({ ...setback, unfinished: true });
    // With what it had before it has its full time again.
    troubleSince.delete(setback.server);
    await work();
    setbacks.splice(setbacks.findIndex(isSame), 1, setback);
  }

  function outcome(result: Omit<RotationOutcome, "evidence">): RotationOutcome {
    return {
      ...result,
      evidence: evidenceOf(observation, goal, (plugin) => fleet.endpoint(plugin)),
      ...(snapshot && { snapshot }),
      ...(compacted && { compacted }),
    };
  }

  return { look, confirm, enter, waiting, guarded, failureOf, isInVain, measure, act, outcome, stage };
}

/** Also for a plan, so that it is known before anything is changed. */
export function noWayToEtcd(input: string): KmsEtcdError {
  return new KmsEtcdError("unsupported", `${input} is given, but there is no way to this cluster's etcd`, {
    remedy: `give the engine access to etcd, or leave ${input} out and do it by other means`,
  });
}

function inVain(action: Action) {
  return {
    reason: `"${describeAction(action)}" was done ${sameActions} times, and nothing of it can be seen`,
    remedy: "see whether something else changes the host's files back, then run again",
  };
}

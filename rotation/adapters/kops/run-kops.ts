/** The loop: look, decide, do one thing, look again. What it keeps in memory (proofs, failures) saves time and no more. */
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { RotationStage } from "../../../core/rotation-stage";
import { type Clock, systemClock } from "../../clock";
import { withoutObjectNames } from "../../object-names";
import { countRepetitions, mayPass, sameActions, transientRetries, withRetries } from "../../patience";
import { rewriteScope } from "../../rewrite-scope";
import type { RotationEvent } from "../../run-events";
import type { Progress, StoredObjects } from "../../stored-objects";
import { type DecideKops, decideKops } from "./decide-kops";
import type { KopsAction, KopsDecision, KopsGoal, KopsMeasurement } from "./kops-decision";
import { freshRun, type KopsObservation, type KopsRunFacts, type KopsSeen } from "./kops-observation";
import type { Kops } from "./kops-ports";
import { machineState, machineStates, machinesAtRest, machinesFingerprint, validStored } from "./kops-situation";
import { withoutWhatIsThrough } from "./own-change";
import { secretDifference } from "./secret-difference";
import { secretHash } from "./secret-text";

/** What this engine needs of the stored objects. */
export type KopsStored = Pick<StoredObjects, "measure" | "rewrite" | "readThrough">;

export interface KopsRunOptions {
  readonly goal: KopsGoal;
  readonly kops: Kops;
  readonly stored: KopsStored;
  readonly onEvent: (event: RotationEvent) => void;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  /** Default: `decideKops`. The tests put rules in that break an invariant, to see that it is noticed. */
  readonly decide?: DecideKops;
}

export interface KopsOutcome {
  readonly kind: "done" | "blocked" | "cancelled";
  readonly stage: RotationStage;
  readonly reason?: string;
  readonly remedy?: string;
  /** What was seen last: the evidence is made from it. */
  readonly observed: KopsObservation;
}

const retryPause = 2_000;
const rewriteBackOff = 5_000;
const namedFailures = 5;
const stopped = "stopped at a safe point; run again to go on";

export async function runKops(options: KopsRunOptions): Promise<KopsOutcome> {
  const { goal, kops, stored, signal, onEvent, clock = systemClock, decide = decideKops } = options;
  let facts: KopsRunFacts = freshRun;
  /** Hashes that the secret may have: as it was seen last, and as this run has asked for since. */
  let expected: readonly (string | undefined)[] | undefined;
  let lastText: string | undefined;
  const repetitions = countRepetitions();
  const pause = (tries: number) => clock.sleep(retryPause * tries, signal);
  let failures = 0;
  /** What machines did not come up with must go back: a look that fails for any reason is no reason to leave it. */
  const isWorthwhile = (thrown: unknown) =>
    mayPass(thrown) ||
    (thrown instanceof KmsEtcdError && (Object.keys(facts.notLoaded).length > 0 || facts.changeFailed !== undefined));
  let stage: { readonly name: RotationStage; readonly since: number } | undefined;
  const emit = (kind: RotationEvent["kind"], message: string, at: RotationStage, more: Partial<RotationEvent> = {}) =>
    onEvent({ stage: at, kind, message, at: clock.now(), ...more });
  /** What was seen last, and the stage that was decided on it. */
  let last: Pick<KopsOutcome, "stage" | "observed"> | undefined;
  const finishStage = () => {
    if (stage === undefined) return;
    const durationMs = clock.now() - stage.since;
    emit("stage-finished", `${stage.name} is done`, stage.name, { durationMs });
  };

  for (;;) {
    // Once it is stopped, a look is cut off; whatever was done last has ended safely without one.
    if (signal.aborted && last !== undefined) return { kind: "cancelled", ...last, reason: stopped };
    let seen: KopsSeen;
    try {
      seen = await withRetries(() => kops.observe(signal), pause, signal, isWorthwhile);
    } catch (thrown) {
      if (signal.aborted && last !== undefined) continue;
      throw thrown;
    }
    if (expected !== undefined && !expected.includes(seen.secret?.hash)) {
      facts = { ...facts, changedByOthers: secretDifference(lastText, seen.secret?.text) };
    }
    expected = [seen.secret?.hash];
    lastText = seen.secret?.text;
    const looked: KopsObservation = { ...seen, now: clock.now(), run: facts };
    const observed = withoutWhatIsThrough(looked, goal);
    if (observed !== looked) await kops.settle(signal);
    const at = (decision: KopsDecision) => ({ stage: decision.stage, observed });
    const decision = decide(observed, goal);
    last = at(decision);
    if (signal.aborted) continue;
    if (decision.kind === "done") {
      finishStage();
      return { kind: "done", stage: decision.stage, observed: machinesAtRest(observed) };
    }
    if (decision.kind === "blocked") {
      return { kind: "blocked", ...at(decision), reason: decision.reason, remedy: decision.remedy };
    }
    if (stage?.name !== decision.stage) {
      finishStage();
      stage = { name: decision.stage, since: clock.now() };
      emit("stage-started", decision.reason, decision.stage);
    }
    if (decision.kind === "act" && isInVain(decision.action)) {
      const reason = `"${describeAction(decision.action)}" was done ${sameActions} times, and nothing of it can be seen`;
      const remedy = "see whether something else changes it back, then run again";
      return { kind: "blocked", ...at(decision), reason, remedy };
    }
    await guarded(decision.stage, () =>
      decision.kind === "act"
        ? act(decision.action, decision.stage, observed)
        : measure(decision.measurement, decision.stage, observed),
    );
  }

  async function act(action: KopsAction, at: RotationStage, observed: KopsObservation): Promise<void> {
    emit("action", [describeAction(action), ...pendingIn(action, observed)].join(": "), at);
    switch (action.kind) {
      case "putCluster":
        await kops.putCluster(action, signal);
        facts = { ...facts, specChanged: true };
        return;
      case "putSecret":
        // Before the call: one that fails may have written all the same.
        expected = [observed.secret?.hash, secretHash(action.text)];
        lastText = action.text;
        facts = { ...facts, rolledFor: {}, replaced: observed.secret };
        return kops.putSecret(action, signal);
      case "update":
        await kops.update(signal);
        facts = { ...facts, updatedFor: action.fingerprint };
        return;
      case "roll": {
        const hash = observed.secret?.hash ?? "";
        const failure = await kops.roll(action.group, action.force, signal);
        facts = { ...facts, validation: undefined };
        if (failure === undefined) facts = { ...facts, rolledFor: { ...facts.rolledFor, [action.group]: hash } };
        else if (failure.notJoined) facts = withFailure(facts, observed, hash, failure.reason);
        else facts = { ...facts, failed: [...facts.failed, failure.reason] };
        return;
      }
      case "rewrite": {
        if (facts.rewrites.failures.length > 0) await clock.sleep(rewriteBackOff, signal);
        const machines = observed.machines.map((machine) => machine.name);
        const result = await stored.rewrite(
          action.targets,
          machines,
          progress("objects rewritten", at),
          signal,
          goal.rewriteBy,
          rewriteScope(validStored({ observed, targets: action.targets }), action.targets, facts.rewrites.failures),
        );
        for (const { resource, namespace, name, reason } of result.failures.slice(0, namedFailures)) {
          emit("warning", `${resource} ${namespace}/${name} was not rewritten: ${reason}`, at);
        }
        facts = {
          ...facts,
          stored: undefined,
          rewrites: { count: facts.rewrites.count + 1, failures: result.failures },
        };
        return;
      }
    }
  }

  async function measure(measurement: KopsMeasurement, at: RotationStage, observed: KopsObservation): Promise<void> {
    emit("measurement", describeMeasurement(measurement), at);
    switch (measurement.kind) {
      case "validate": {
        const failure = await kops.validate(signal);
        facts = { ...facts, validation: { machines: machinesFingerprint(observed.machines), failure } };
        // What a killed run has left: machines have been replaced for the change, and the cluster is not well.
        if (failure === undefined) return;
        const reason = `the cluster is not valid with it: ${failure}`;
        const isChanging = (observed.ownChange?.before ?? []).length > 0;
        if (isChanging && observed.machines.some(({ needsUpdate }) => needsUpdate)) {
          facts = { ...facts, changeFailed: reason };
        }
        if (observed.ownChange?.replaced !== undefined && isOneDown(observed)) {
          facts = { ...facts, notLoaded: { ...facts.notLoaded, [observed.secret?.hash ?? ""]: reason } };
        }
        return;
      }
      case "stored": {
        const proof = await stored.measure(
          measurement.targets,
          machineStates(observed),
          progress("objects seen", at),
          signal,
        );
        facts = { ...facts, stored: proof };
        return;
      }
      case "readThrough": {
        const machine = observed.machines.find(({ name }) => name === measurement.machine);
        if (machine === undefined) return;
        const state = machineState(machine, observed.secret?.hash);
        const proof = await stored.readThrough(state, measurement.resources, progress("objects read", at), signal);
        const [failure] = proof.failures;
        if (failure !== undefined) {
          const what = `${proof.failures.length} of ${proof.objects} objects cannot be read through ${machine.name}`;
          const reason = `${what} (${withoutObjectNames(failure.reason)})`;
          facts = withFailure(facts, observed, state.loadedHash, reason);
          return;
        }
        facts = { ...facts, readThrough: [...facts.readThrough, proof] };
        return;
      }
    }
  }

  /** Somebody else changed the store: look again. What passes by itself is tried again; anything else ends this run safely. */
  async function guarded(at: RotationStage, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      failures = 0;
    } catch (thrown) {
      if (signal.aborted) return;
      if (!(thrown instanceof KmsEtcdError) || thrown.code === "internal") throw thrown;
      const reason = withoutObjectNames(describeError(thrown));
      if (thrown.code === "conflict") emit("warning", reason, at);
      else if (mayPass(thrown) && (failures += 1) <= transientRetries) {
        emit("warning", `${reason}; trying again`, at);
        await pause(failures);
      } else facts = { ...facts, failed: [...facts.failed, reason] };
    }
  }

  function progress(what: string, at: RotationStage) {
    return (seen: Progress) =>
      emit("progress", what, at, { done: seen.done, ...(seen.total === undefined ? {} : { total: seen.total }) });
  }

  function isInVain(action: KopsAction): boolean {
    const times = repetitions(action);
    return action.kind !== "rewrite" && times > sameActions;
  }
}

/** Where a plugin has got another text, that may be why; the secret too, where this run has put another one. */
function withFailure(facts: KopsRunFacts, { ownChange }: KopsObservation, hash: string, reason: string): KopsRunFacts {
  const isChanging = (ownChange?.before ?? []).length > 0;
  const changed = isChanging ? { ...facts, changeFailed: reason } : facts;
  if (isChanging && facts.replaced === undefined && ownChange?.replaced === undefined) return changed;
  return { ...changed, notLoaded: { ...facts.notLoaded, [hash]: reason } };
}

/** Where several are away and none answers, it is the way to them that is missing. */
function isOneDown({ machines }: KopsObservation): boolean {
  const down = machines.filter(({ unreachable }) => unreachable !== undefined);
  return down.length > 0 && (machines.length === 1 || down.length < machines.length);
}

/** What kops said that this update would change. */
function pendingIn({ kind }: KopsAction, { pending = [] }: KopsObservation): readonly string[] {
  return kind === "update" && pending.length > 0 ? [pending.join(", ")] : [];
}

function describeAction(action: KopsAction): string {
  switch (action.kind) {
    case "putCluster":
      return "replace the cluster's spec";
    case "putSecret":
      return "replace the encryptionconfig secret";
    case "update":
      return "kops update cluster";
    case "roll":
      return `kops rolling-update ${action.group}${action.force ? " --force" : ""}`;
    case "rewrite":
      return `rewrite ${action.targets.map((target) => target.resource).join(", ")}`;
  }
}

function describeMeasurement(measurement: KopsMeasurement): string {
  switch (measurement.kind) {
    case "validate":
      return "kops validate cluster";
    case "stored":
      return `look at every stored value of ${measurement.targets.map((target) => target.resource).join(", ")}`;
    case "readThrough":
      return `read every object through ${measurement.machine}`;
  }
}

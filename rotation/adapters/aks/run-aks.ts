/**
 * Brings one cluster of AKS to the settings that are wanted: look, ask `nextLeg`, do that one thing, look again. It may be killed at any point
 * and started again; besides what it sees it knows only what an earlier run has proven.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { Progress } from "../../stored-objects";
import { createFailedSettings, type FailedSettings } from "./failed-settings";
import type { FreshGrants } from "./grants";
import { secondKey } from "./held-keys";
import { areSameSettings, type KmsSettings } from "./kms-settings";
import { isKmsV1 } from "./kubernetes-version";
import { eTagOf, type ManagedCluster, type ManagedClusterState } from "./managed-cluster";
import { type Leg, nextLeg, type ObservedCluster, type StoredUnder, writerOf } from "./next-leg";
import { type RewriteLimits, type RewriteWork, type Rewritten, rewriteAll, rewriteOnce } from "./rewrite-secrets";
import type { SecretsRewriter } from "./secrets-rewriter";
import type { VaultNetworkAccess } from "./vault-network";

export interface AksTarget {
  readonly cluster: ManagedCluster;
  /** Left out, no failure is put down to a grant that is on its way. */
  readonly grants?: FreshGrants;
  /** Of the vault that is wanted, where its network is ours to change. */
  readonly vault?: VaultNetworkAccess;
  /** Opened for each pass: credentials may change with the cluster. */
  readonly openRewriter: (state: ManagedClusterState, signal: AbortSignal) => Promise<SecretsRewriter>;
}

export interface AksEvent {
  /** `held`: what AKS holds is another thing now, and what was proven before the run counts no more. */
  readonly kind: "leg" | "progress" | "warning" | "leg-finished" | "held";
  /** Counts from 1. Waiting is no leg of its own. */
  readonly number: number;
  readonly leg: Leg;
  readonly message: string;
  readonly progress?: Progress;
  /** Of a rewrite that has proven something. */
  readonly rewritten?: Rewritten;
  readonly durationMs?: number;
  /** Of `held`. */
  readonly held?: AksHeld;
}

/** What a run leaves behind if it ends now. */
export interface AksHeld {
  /** What AKS was asked for last. */
  readonly settings: KmsSettings;
  /** The key that it holds beside that of these settings. */
  readonly previousKeyId: string | undefined;
  /** The settings with which AKS was well before it was asked. */
  readonly lastGood: KmsSettings | undefined;
}

export interface AksLimits extends RewriteLimits {
  /** How long AKS may be at work on the cluster before we can begin. */
  readonly busyMs: number;
  /** How long a grant may take to arrive. */
  readonly grantMs: number;
}

export interface AksRunOptions {
  readonly target: AksTarget;
  readonly goal: KmsSettings;
  /** The settings under which an earlier run has proven everything to be stored. */
  readonly provenBefore: KmsSettings | undefined;
  /** The cluster's ETag of then: the proof counts as long as nobody has changed the cluster. Undefined where ARM gave none. */
  readonly provenETag?: string | undefined;
  /** The second key that an earlier run has left AKS with. */
  readonly previousKeyId?: string | undefined;
  /** The settings with which AKS was well when an earlier run has ended. */
  readonly lastGood?: KmsSettings | undefined;
  readonly limits: AksLimits;
  readonly onEvent: (event: AksEvent) => void;
  readonly signal: AbortSignal;
}

export interface AksRun {
  readonly state: ManagedClusterState;
  /** The rewrite that has proven the present state; undefined where none was needed. */
  readonly rewritten: Rewritten | undefined;
  /** The cluster's ETag when that rewrite, or the one of an earlier run that still counts, began; undefined where nothing is proven. */
  readonly provenETag: string | undefined;
  /** The key that AKS holds beside that of the settings: what they were before the last change. */
  readonly previousKeyId: string | undefined;
}

/** Longer than any way there is; more means that somebody works against us. */
const mostLegs = 40;

/** Whether what an earlier run has proven still counts: nobody has changed the cluster since, as its ETag shows. */
export function countsStill(
  { provenBefore, provenETag }: Pick<AksRunOptions, "provenBefore" | "provenETag">,
  state: Pick<ManagedClusterState, "kms" | "body">,
): boolean {
  const isSame = provenETag === undefined || provenETag === eTagOf(state);
  return isSame && provenBefore !== undefined && areSameSettings(provenBefore, state.kms);
}

/** Throws KmsEtcdError, the cluster being as far as it has got; `cancelled` at a safe point on `signal`. */
export async function runAks(options: AksRunOptions): Promise<AksRun> {
  const failed = createFailedSettings(reachableLastGood(options));
  try {
    return await run(options, failed);
  } catch (thrown) {
    throw failed.withFirstCause(thrown);
  }
}

async function run(options: AksRunOptions, failed: FailedSettings): Promise<AksRun> {
  const { target, goal, limits, onEvent, signal } = options;
  let proof:
    | { readonly under: StoredUnder; readonly rewritten: Rewritten; readonly eTag: string | undefined }
    | undefined;
  let rewrittenSinceFailure = false;
  /** From then on an earlier run's proof says nothing, also where the cluster comes back to the settings of then. */
  let changed = false;
  /** Since when AKS is at work without an end. */
  let waitingSince: number | undefined;
  let previousKeyId = options.previousKeyId;
  const begunAt = performance.now();
  /** Legs again because a grant was on its way. */
  let again = 0;
  /** Requests that began before the API servers changed have ended by then. */
  let settledAt: number | undefined;

  async function look(): Promise<{ state: ManagedClusterState; observed: ObservedCluster }> {
    const state = await target.cluster.observe(signal);
    const { kms, provisioningState, isStopped } = state;
    failed.saw(state);
    // Before anything is changed everything is proven anew: nobody knows what has happened since an earlier run.
    const isProven = isProvenBefore(state) && areSameSettings(kms, goal);
    const observed = {
      provisioningState,
      isStopped,
      kms,
      storedUnder: proof?.under ?? (isProven ? writerOf(kms) : undefined),
      rewrittenSinceFailure,
      vaultNetwork: await target.vault?.observe(signal),
      kmsV1: isKmsV1(state),
      goBackTo: failed.goBackFrom(kms),
    };
    return { state, observed };
  }

  function isProvenBefore(state: ManagedClusterState): boolean {
    return !changed && countsStill(options, state);
  }

  async function set(
    settings: KmsSettings,
    from: KmsSettings,
    say: Say,
    tell: (held: AksHeld) => void,
  ): Promise<string | undefined> {
    failed.refuseAgain(settings, from, proof !== undefined && proof.under === writerOf(from));
    changed = true;
    const before = previousKeyId;
    const hold = (asked: KmsSettings, other: string | undefined) => {
      previousKeyId = other;
      tell({ settings: asked, previousKeyId, lastGood: failed.lastGood() });
    };
    // AKS may have the next key from the moment that it is asked.
    hold(settings, secondKey(from, before, settings));
    try {
      await target.cluster.set({ to: settings, from }, signal, say);
      return undefined;
    } catch (thrown) {
      // Refused at once, by ARM or by us: nothing has begun. Otherwise the operation has failed, and its rewrite is to come.
      const { provisioningState, body, kms } = await target.cluster.observe(signal);
      if (provisioningState === "Succeeded" && areSameSettings(kms, from)) hold(from, before);
      if (signal.aborted || provisioningState === "Succeeded" || isTimeOver(thrown)) throw thrown;
      const said = thrown instanceof Error ? thrown.message : String(thrown);
      const age = await target.grants?.ageOf(settings, body, signal);
      if (age === undefined || performance.now() - begunAt > limits.grantMs) failed.note(settings, thrown);
      else {
        again += 2;
        say(onItsWay(age));
        await pause(limits.pauseMs, signal);
      }
      return said;
    } finally {
      proof = undefined;
      rewrittenSinceFailure = false;
      settledAt = undefined;
    }
  }

  /** Of a private vault AKS says Succeeded without a look: while a grant there is on its way, what fails for it is begun again. */
  async function rewriteGranted(work: RewriteWork, { kms, body }: ManagedClusterState): Promise<Rewritten> {
    for (;;) {
      try {
        return await rewriteAll(work);
      } catch (thrown) {
        if (!(thrown instanceof KmsEtcdError) || thrown.code === "cancelled") throw thrown;
        const age = await target.grants?.ageOf(kms, body, signal);
        if (age === undefined || performance.now() - begunAt > limits.grantMs) throw thrown;
        work.onProgress(`${thrown.message}; ${onItsWay(age)}`);
        await pause(limits.pauseMs, signal);
      }
    }
  }

  for (let number = 0; number - again < mostLegs; ) {
    const { state, observed } = await look();
    const leg = nextLeg(observed, goal);
    if (leg.kind === "done") {
      const earlier = isProvenBefore(state) ? options.provenETag : undefined;
      const provenETag = proof === undefined ? earlier : proof.eTag;
      return { state, rewritten: proof?.rewritten, provenETag, previousKeyId };
    }
    if (leg.kind === "blocked") throw new KmsEtcdError("blocked", leg.reason, { remedy: leg.remedy });
    if (leg.kind === "wait") {
      settledAt = undefined;
      waitingSince ??= performance.now();
      const message = waitingText(leg.reason, performance.now() - waitingSince, limits.busyMs);
      onEvent({ kind: "progress", number, leg, message });
      await pause(limits.pauseMs, signal);
      continue;
    }
    waitingSince = undefined;
    number += 1;
    const start = performance.now();
    settledAt ??= isProvenBefore(state) ? 0 : start + limits.settleMs;
    const at = { number, leg };
    const say: Say = (message, progress) =>
      onEvent({ ...at, kind: "progress", message, ...(progress === undefined ? {} : { progress }) });
    const warn = (message: string) => onEvent({ ...at, kind: "warning", message });
    onEvent({ ...at, kind: "leg", message: leg.reason });
    if (leg.kind === "vault") await target.vault?.set(leg.network, signal, say);
    if (leg.kind === "set") {
      const tell = (held: AksHeld) => onEvent({ ...at, kind: "held", message: leg.reason, held });
      const problem = await set(leg.settings, state.kms, say, tell);
      if (problem !== undefined) warn(`AKS could not do it, and is asked again after a rewrite: ${problem}`);
    }
    if (leg.kind === "rewrite") {
      const open = () => target.openRewriter(state, signal);
      const work: RewriteWork = { open, limits, settledAt, onProgress: say, signal };
      // Of before it began: who changes the cluster meanwhile has not been seen.
      const eTag = eTagOf(state);
      if (leg.under !== undefined) proof = { under: leg.under, rewritten: await rewriteGranted(work, state), eTag };
      else await rewriteAfterFailure(work, warn);
      rewrittenSinceFailure = true;
    }
    const proven = leg.kind === "rewrite" && proof !== undefined ? { rewritten: proof.rewritten } : {};
    onEvent({ ...at, kind: "leg-finished", message: leg.reason, durationMs: performance.now() - start, ...proven });
  }
  throw new KmsEtcdError("blocked", `the cluster is not where it should be after ${mostLegs} steps`, {
    remedy: "see who else changes it at the same time, then run again",
  });
}

/** Where to go back to from settings of an earlier run: only while AKS has their key as its second one, or needs none. */
function reachableLastGood({ lastGood, previousKeyId }: AksRunOptions): KmsSettings | undefined {
  if (lastGood?.mode === "legacy") {
    return lastGood.keyId.toLowerCase() === previousKeyId?.toLowerCase() ? lastGood : undefined;
  }
  return lastGood?.mode === "off" && previousKeyId !== undefined ? undefined : lastGood;
}

function onItsWay(ageMs: number): string {
  const seconds = Math.round(ageMs / 1_000);
  return `AKS can't look into a private vault, and the newest grant there is ${seconds} s old: it may be on its way`;
}

function isTimeOver(thrown: unknown): boolean {
  return thrown instanceof KmsEtcdError && thrown.code === "timeout";
}

/** Throws when the time is over. */
function waitingText(reason: string, waitedMs: number, busyMs: number): string {
  const [waited, most] = [Math.round(waitedMs / 1_000), Math.round(busyMs / 1_000)];
  if (waitedMs < busyMs) return `${reason}: waiting, ${waited} of at most ${most} s`;
  throw new KmsEtcdError("timeout", `${reason}, and ${most} s are over (limits.busySeconds)`, {
    remedy:
      "see what it does (the cluster's activity log); az aks operation-abort ends an operation that does not end by itself; then run again",
  });
}

type Say = (message: string, progress?: Progress) => void;

/** It can prove nothing, and what it can't do must not keep the settings from being asked for again: that may be what helps. */
async function rewriteAfterFailure(work: RewriteWork, warn: (message: string) => void): Promise<void> {
  try {
    const { failures } = await rewriteOnce(work);
    const [first] = failures;
    if (first !== undefined) warn(`${failures.length} Secrets could not be written again yet: ${first.reason}`);
  } catch (thrown) {
    if (!(thrown instanceof KmsEtcdError) || thrown.code === "cancelled") throw thrown;
    warn(`Secrets could not be written again yet: ${thrown.message}`);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((cause: unknown) => {
    throw new KmsEtcdError("cancelled", "stopped while AKS is at work", { cause });
  });
}

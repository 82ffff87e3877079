/**
 * Brings one cluster of AKS to the settings that are wanted: look, ask `nextLeg`, do that one thing, look again. It may be killed at any point
 * and started again; besides what it sees it knows only what an earlier run has proven.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { Progress } from "../../stored-objects";
import { createFailedSettings } from "./failed-settings";
import type { FreshGrants } from "./grants";
import { areSameSettings, type KmsSettings } from "./kms-settings";
import { isKmsV1 } from "./kubernetes-version";
import type { ManagedCluster, ManagedClusterState } from "./managed-cluster";
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
  readonly kind: "leg" | "progress" | "warning" | "leg-finished";
  /** Counts from 1. Waiting is no leg of its own. */
  readonly number: number;
  readonly leg: Leg;
  readonly message: string;
  readonly progress?: Progress;
  /** Of a rewrite that has proven something. */
  readonly rewritten?: Rewritten;
  readonly durationMs?: number;
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
  /** The second key that an earlier run has left AKS with. */
  readonly previousKeyId?: string | undefined;
  readonly limits: AksLimits;
  readonly onEvent: (event: AksEvent) => void;
  readonly signal: AbortSignal;
}

export interface AksRun {
  readonly state: ManagedClusterState;
  /** The rewrite that has proven the present state; undefined where none was needed. */
  readonly rewritten: Rewritten | undefined;
  /** The key that AKS holds beside that of the settings: what they were before the last change. */
  readonly previousKeyId: string | undefined;
}

/** Longer than any way there is; more means that somebody works against us. */
const mostLegs = 40;

/** Throws KmsEtcdError, the cluster being as far as it has got; `cancelled` at a safe point on `signal`. */
export async function runAks(options: AksRunOptions): Promise<AksRun> {
  const { target, goal, limits, onEvent, signal } = options;
  const failed = createFailedSettings();
  let proof: { readonly under: StoredUnder; readonly rewritten: Rewritten } | undefined;
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
    const isProven = isProvenBefore(kms) && areSameSettings(kms, goal);
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

  function isProvenBefore(kms: KmsSettings): boolean {
    return !changed && options.provenBefore !== undefined && areSameSettings(options.provenBefore, kms);
  }

  async function set(settings: KmsSettings, from: KmsSettings, say: Say): Promise<string | undefined> {
    failed.refuseAgain(settings, from);
    changed = true;
    try {
      // AKS may have the next key from the moment that it is asked.
      if (!areSameSettings(settings, from)) previousKeyId = from.mode === "legacy" ? from.keyId : undefined;
      await target.cluster.set({ to: settings, from }, signal, say);
      return undefined;
    } catch (thrown) {
      // Refused at once, by ARM or by us: nothing has begun. Otherwise the operation has failed, and its rewrite is to come.
      const { provisioningState, body } = await target.cluster.observe(signal);
      if (signal.aborted || provisioningState === "Succeeded" || isTimeOver(thrown)) throw thrown;
      const said = thrown instanceof Error ? thrown.message : String(thrown);
      const age = await target.grants?.ageOf(settings, body, signal);
      if (age === undefined || performance.now() - begunAt > limits.grantMs) failed.note(settings, thrown);
      else {
        again += 2;
        const seconds = Math.round(age / 1_000);
        say(
          `AKS can't look into a private vault, and the newest grant there is ${seconds} s old: it may be on its way`,
        );
        await pause(limits.pauseMs, signal);
      }
      return said;
    } finally {
      proof = undefined;
      rewrittenSinceFailure = false;
      settledAt = undefined;
    }
  }

  for (let number = 0; number - again < mostLegs; ) {
    const { state, observed } = await look();
    const leg = nextLeg(observed, goal);
    if (leg.kind === "done") return { state, rewritten: proof?.rewritten, previousKeyId };
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
    settledAt ??= isProvenBefore(state.kms) ? 0 : start + limits.settleMs;
    const at = { number, leg };
    const say: Say = (message, progress) =>
      onEvent({ ...at, kind: "progress", message, ...(progress === undefined ? {} : { progress }) });
    const warn = (message: string) => onEvent({ ...at, kind: "warning", message });
    onEvent({ ...at, kind: "leg", message: leg.reason });
    if (leg.kind === "vault") await target.vault?.set(leg.network, signal, say);
    if (leg.kind === "set") {
      const problem = await set(leg.settings, state.kms, say);
      if (problem !== undefined) warn(`AKS could not do it, and is asked again after a rewrite: ${problem}`);
    }
    if (leg.kind === "rewrite") {
      const open = () => target.openRewriter(state, signal);
      const work: RewriteWork = { open, limits, settledAt, onProgress: say, signal };
      if (leg.under !== undefined) proof = { under: leg.under, rewritten: await rewriteAll(work) };
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

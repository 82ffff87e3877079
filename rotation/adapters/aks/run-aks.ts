/**
 * Brings one cluster of AKS to the settings that are wanted: look, ask `nextLeg`, do that one thing, look again. It may be killed at any point
 * and started again; besides what it sees it knows only what an earlier run has proven.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { Progress } from "../../stored-objects";
import { createFailedSettings } from "./failed-settings";
import { areSameSettings, type KmsSettings } from "./kms-settings";
import { isKmsV1 } from "./kubernetes-version";
import type { ManagedCluster, ManagedClusterState } from "./managed-cluster";
import { type Leg, nextLeg, type ObservedCluster, type StoredUnder, writerOf } from "./next-leg";
import { type RewriteLimits, type RewriteWork, type Rewritten, rewriteAll, rewriteOnce } from "./rewrite-secrets";
import type { SecretsRewriter } from "./secrets-rewriter";
import type { VaultNetworkAccess } from "./vault-network";

export interface AksTarget {
  readonly cluster: ManagedCluster;
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

export interface AksRunOptions {
  readonly target: AksTarget;
  readonly goal: KmsSettings;
  /** The settings under which an earlier run has proven everything to be stored. */
  readonly provenBefore: KmsSettings | undefined;
  readonly limits: RewriteLimits;
  readonly onEvent: (event: AksEvent) => void;
  readonly signal: AbortSignal;
}

export interface AksRun {
  readonly state: ManagedClusterState;
  /** The rewrite that has proven the present state; undefined where none was needed. */
  readonly rewritten: Rewritten | undefined;
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
  /** Requests that began before the API servers changed have ended by then. */
  let settledAt: number | undefined;

  async function look(): Promise<{ state: ManagedClusterState; observed: ObservedCluster }> {
    const state = await target.cluster.observe(signal);
    const { kms, provisioningState } = state;
    failed.saw(state);
    // Before anything is changed everything is proven anew: nobody knows what has happened since an earlier run.
    const isProven = isProvenBefore(kms) && areSameSettings(kms, goal);
    const observed = {
      provisioningState,
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
      await target.cluster.set({ to: settings, from }, signal, say);
      return undefined;
    } catch (thrown) {
      // Refused at once, by ARM or by us: nothing has begun. Otherwise the operation has failed, and its rewrite is to come.
      const { provisioningState } = await target.cluster.observe(signal);
      if (signal.aborted || provisioningState === "Succeeded") throw thrown;
      failed.note(settings, thrown);
      return thrown instanceof Error ? thrown.message : String(thrown);
    } finally {
      proof = undefined;
      rewrittenSinceFailure = false;
      settledAt = undefined;
    }
  }

  for (let number = 0; number < mostLegs; ) {
    const { state, observed } = await look();
    const leg = nextLeg(observed, goal);
    if (leg.kind === "done") return { state, rewritten: proof?.rewritten };
    if (leg.kind === "blocked") throw new KmsEtcdError("blocked", leg.reason, { remedy: leg.remedy });
    if (leg.kind === "wait") {
      settledAt = undefined;
      onEvent({ kind: "progress", number, leg, message: leg.reason });
      await pause(limits.pauseMs, signal);
      continue;
    }
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

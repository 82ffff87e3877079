/** Port, and its parts put together: a cluster of AKS as the Pulumi provider looks at it and changes it. */

import { AksReach } from "../../../core/aks-reach";
import { parseVaultId } from "../../../core/azure-key-id";
import { azureRules } from "../../../core/azure-rules/azure-rules";
import type { AzureRule } from "../../../core/azure-rules/rule";
import { checkRules, type FactPaths, type Findings, type GivenFacts } from "../../../core/azure-rules/rule";
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { ArmAccess } from "../azure/arm-access";
import { type AksEvidence, aksEvidence } from "./aks-evidence";
import type { ApiAccess } from "./api-address";
import { freshGrants } from "./grants";
import { heldFacts, withOtherKeys } from "./held-key-rules";
import { otherHeldKeys, type PlannedKeys } from "./held-keys";
import { areSameSettings, type KmsSettings, vaultOf } from "./kms-settings";
import { isKmsV1 } from "./kubernetes-version";
import { clusterFactNames, liveFacts } from "./live-facts";
import { eTagOf, type ManagedClusterState, managedCluster } from "./managed-cluster";
import type { Leg } from "./next-leg";
import { writerOf } from "./next-leg";
import { openRewriter } from "./open-rewriter";
import { predictLegs } from "./predict-legs";
import { type AksEvent, type AksLimits, type AksTarget, countsStill, runAks } from "./run-aks";
import { vaultNetworkAccess } from "./vault-network";

export interface AksRequest {
  readonly clusterId: string;
  readonly goal: KmsSettings;
  /** Resource id of the vault with the key; undefined where it is not known. */
  readonly vaultId: string | undefined;
  /** Whether that vault's network access is ours to change. */
  readonly ownsVaultNetwork: boolean;
  readonly access: ApiAccess;
  readonly limits: Omit<AksLimits, "pauseMs">;
  /** The settings under which an earlier run has proven everything to be stored. */
  readonly provenBefore: KmsSettings | undefined;
  /** The cluster's ETag of then: the proof counts as long as nobody has changed the cluster. */
  readonly provenETag: string | undefined;
  /** The second key that an earlier run has left AKS with, as far as it is known. */
  readonly previousKeyId: string | undefined;
  /** The settings with which AKS was well when an earlier run has ended, as far as they are known. */
  readonly lastGood: KmsSettings | undefined;
  /** What this very update makes of keys besides. */
  readonly plannedKeys: PlannedKeys;
}

/** What ARM says of a cluster. */
export interface AksSeen {
  readonly provisioningState: string;
  readonly settings: KmsSettings;
  /** The cluster's ETag; undefined where ARM gives none. */
  readonly eTag: string | undefined;
}

/** What a look at the cluster gives. Nothing was changed by it. */
export interface AksSurvey extends AksSeen {
  /** What a run would do, if nothing fails. */
  readonly legs: readonly Leg[];
  readonly findings: Findings;
  /** Keys of the KMS plugin that AKS holds now or will hold. */
  readonly heldKeyIds: readonly string[];
  /** What could not be asked: a sentence each. */
  readonly unseen: readonly string[];
  /** Secrets, where a rewrite lies ahead and they could be counted. */
  readonly secrets: number | undefined;
}

export interface AksOutcome extends AksSeen {
  /** The other key that AKS holds besides that of the settings, where it holds one. */
  readonly previousKeyId: string | undefined;
  /** Undefined where nothing had to be done, so that what was known before still holds. */
  readonly evidence: AksEvidence | undefined;
  /** The cluster's ETag of when it was proven; undefined where nothing is. */
  readonly provenETag: string | undefined;
}

/** All methods throw KmsEtcdError; `not-found` while there is no such cluster. */
export interface AksEngine {
  /** What a cluster has. */
  look(clusterId: string, signal: AbortSignal): Promise<AksSeen>;
  /** `facts` are what the rules are told besides what Azure says. */
  survey(request: AksRequest, facts: GivenFacts, paths: FactPaths, signal: AbortSignal): Promise<AksSurvey>;
  /** What can be said while the cluster is not known yet: of the key and the vault that are wanted. Everything else is in `skipped`. */
  surveyKey(
    request: Omit<AksRequest, "clusterId">,
    facts: GivenFacts,
    paths: FactPaths,
    signal: AbortSignal,
  ): Promise<Pick<AksSurvey, "findings" | "unseen">>;
  run(request: AksRequest, onEvent: (event: AksEvent) => void, signal: AbortSignal): Promise<AksOutcome>;
}

export interface AksEngineOptions {
  /** Between two looks at what takes its time. */
  readonly pauseMs: number;
  readonly grantPauseMs: number;
  /** How Secrets are reached; tests have another way. */
  readonly openRewriter: typeof openRewriter;
}

const defaults: AksEngineOptions = { pauseMs: 10_000, grantPauseMs: 20_000, openRewriter };
/** A preview goes without the number of Secrets when the API servers do not give it in time. */
const countingMs = 20_000;

/** Rules about what the run itself takes care of: it goes by way of "off", rewrites first, and says `enabled: false` outright. */
const caredFor: ReadonlySet<string> = new Set(["K1", "K2", "L1"]);
const rules: readonly AzureRule[] = azureRules.filter(({ id }) => !caredFor.has(id));

export function createAksEngine(access: () => ArmAccess, options = defaults): AksEngine {
  function targetOf(request: AksRequest): AksTarget {
    const { arm } = access();
    const { clusterId, vaultId, goal } = request;
    const { grantMs, busyMs } = request.limits;
    const limits = { spreadMs: grantMs, pauseMs: options.grantPauseMs, busyMs };
    const isItsVault = parseVaultId(vaultId ?? "")?.vaultName.toLowerCase() === vaultOf(goal);
    return {
      cluster: managedCluster(arm, clusterId, limits),
      grants: freshGrants(arm, grantMs),
      openRewriter: (state, signal) => options.openRewriter(access(), state, request.access, signal),
      ...(request.ownsVaultNetwork && vaultId !== undefined && isItsVault
        ? { vault: vaultNetworkAccess(arm, vaultId) }
        : {}),
    };
  }

  /** How many Secrets a rewrite will meet. That they can't be counted is said, and no reason to stop a preview. */
  async function countSecrets(
    target: AksTarget,
    state: ManagedClusterState,
    signal: AbortSignal,
  ): Promise<{ secrets: number | undefined; unseen: readonly string[] }> {
    try {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(countingMs)]);
      const rewriter = await target.openRewriter(state, limited);
      try {
        return { secrets: await rewriter.count(limited), unseen: [] };
      } finally {
        await rewriter.close();
      }
    } catch (thrown) {
      if (signal.aborted || !(thrown instanceof KmsEtcdError)) throw thrown;
      return { secrets: undefined, unseen: [`Secrets could not be counted: ${describeError(thrown)}`] };
    }
  }

  return {
    async look(clusterId, signal) {
      return seenIn(await managedCluster(access().arm, clusterId).observe(signal));
    },
    async survey(request, facts, paths, signal) {
      const target = targetOf(request);
      const { goal } = request;
      const state = await target.cluster.observe(signal);
      const look = await liveFacts(
        access().arm,
        { ...request, state, ownsVaultNetwork: target.vault !== undefined, planned: request.plannedKeys },
        signal,
      );
      const isProven = countsStill(request, state);
      const legs = predictLegs(
        {
          provisioningState: state.provisioningState,
          isStopped: state.isStopped,
          kms: state.kms,
          storedUnder: isProven && areSameSettings(state.kms, goal) ? writerOf(state.kms) : undefined,
          rewrittenSinceFailure: false,
          vaultNetwork: await target.vault?.observe(signal),
          kmsV1: isKmsV1(state),
        },
        goal,
      );
      const rewrites = legs.some(({ kind }) => kind === "rewrite");
      const counted = rewrites ? await countSecrets(target, state, signal) : { secrets: undefined, unseen: [] };
      // Nobody is in the cluster: whether there is a way from here shows when Secrets are counted, and is of no matter otherwise.
      const isReached = request.access.reach === AksReach.RunCommand || counted.secrets !== undefined;
      const reached = rewrites ? { rewritesInCluster: isReached } : {};
      const held = heldFacts(request, otherHeldKeys(state.kms, goal, request.vaultId, request.previousKeyId));
      const seen = { ...look.facts, ...facts, ...reached, ...held };
      const findings = withOtherKeys(checkRules(rules, seen, paths), look.otherKeys, paths, legs.length > 0);
      return {
        ...seenIn(state),
        legs,
        findings,
        heldKeyIds: held.heldKeyIds,
        unseen: [...look.unseen, ...counted.unseen],
        secrets: counted.secrets,
      };
    },
    async surveyKey(request, facts, paths, signal) {
      const planned = request.plannedKeys;
      const look = await liveFacts(access().arm, { ...request, state: undefined, planned }, signal);
      const later = Object.fromEntries(clusterFactNames.map((name) => [name, paths.clusterId ?? "clusterId"]));
      return { findings: checkRules(rules, { ...look.facts, ...facts }, { ...paths, ...later }), unseen: look.unseen };
    },
    async run(request, onEvent, signal) {
      const target = targetOf(request);
      const { goal, previousKeyId: second, provenBefore, provenETag: before, lastGood } = request;
      const { state, rewritten, provenETag, previousKeyId } = await runAks({
        target,
        goal,
        previousKeyId: second,
        lastGood,
        provenBefore,
        provenETag: before,
        limits: { ...request.limits, pauseMs: options.pauseMs },
        onEvent,
        signal,
      });
      const isKnown = rewritten === undefined && writerOf(state.kms) !== undefined;
      return {
        ...seenIn(state),
        previousKeyId,
        provenETag,
        evidence: isKnown ? undefined : aksEvidence(state, rewritten, Date.now()),
      };
    },
  };
}

function seenIn(state: ManagedClusterState): AksSeen {
  return { provisioningState: state.provisioningState, settings: state.kms, eTag: eTagOf(state) };
}

/**
 * What a change to a cluster of AKS leaves behind for an auditor: which key the settings name, which steps were taken, what was written
 * again and proven, by what means, and what could not be seen. Counts and key ids, no object's name. It claims no more than was seen.
 */
import { AksEncryptionMode } from "../../../core/aks-encryption-mode";
import { AksReach } from "../../../core/aks-reach";
import { KmsEtcdError } from "../../../core/errors";
import { withoutObjectNames } from "../../object-names";
import { canonicalJson, type Json } from "../../report/canonical-json";
import type { AksRequest, AksSeen } from "./aks-engine";
import type { AksEvidence } from "./aks-evidence";
import type { KmsSettings } from "./kms-settings";
import type { AksEvent } from "./run-aks";

/** Persisted and signed: never change the meaning of a property; a new meaning needs a new `formatVersion`. */
export interface AksReport {
  readonly formatVersion: 1;
  /** Tells it from the report of a rotation on API servers that are seen one by one. */
  readonly platform: "aks";
  /** What was run: `pulumi up`. */
  readonly command: string;
  readonly cluster: string;
  readonly goal: AksReportedSettings & { readonly keyVersion?: number };
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly outcome: AksReportedOutcome;
  /** In the order in which they began. One that did not finish has no end. */
  readonly steps: readonly AksReportedStep[];
  /** How Secrets were written again, where they were. */
  readonly rewrittenBy: string;
  /** What ARM said when the change was planned; undefined where nobody looked. */
  readonly before: AksReportedState | undefined;
  /** What ARM says after the run. */
  readonly after: AksReportedState;
  /** What this run has proven under the settings of `after`; undefined where it has proven nothing. */
  readonly evidence: AksEvidence | undefined;
  /** What an earlier run has proven under the same settings, where this one had nothing to do: that run's report vouches for it. */
  readonly provenEarlier?: { readonly provenAt: string; readonly digest: string };
}

/** In the words of the inputs. */
export interface AksReportedSettings {
  /** `Off`, or one of `AksEncryptionMode`. */
  readonly mode: string;
  readonly keyId?: string;
  readonly vaultNetworkAccess?: string;
  readonly vaultId?: string;
}

export interface AksReportedState {
  readonly provisioningState: string;
  readonly settings: AksReportedSettings;
}

export interface AksReportedOutcome {
  readonly kind: "done" | "blocked" | "cancelled" | "failed";
  readonly reason?: string;
  readonly remedy?: string;
}

export interface AksReportedStep {
  readonly kind: "set" | "rewrite" | "vault";
  readonly reason: string;
  readonly startedAt: string;
  readonly finishedAt?: string;
  /** Of `set`: what AKS was asked for. */
  readonly settings?: AksReportedSettings;
  /** Of `vault`. */
  readonly vaultNetworkAccess?: string;
  /** Of `rewrite`: what every Secret is proven to be under, a key's identifier or `plaintext`; absent where it proves nothing. */
  readonly provenUnder?: string;
  /** Secrets that the last pass offered for a no-op write. */
  readonly secrets?: number;
  /** Times that a Secret was stored again, in all passes. */
  readonly storedAgain?: number;
  readonly passes?: number;
  /** What AKS or the API servers could not do in it. */
  readonly problems?: readonly string[];
}

/** The mode of a cluster without KMS, beside those that can be asked for. */
export const modeOff = "Off";

const modes = { legacy: AksEncryptionMode.KmsPlugin, cmk: AksEncryptionMode.CustomerManagedKey } as const;

export function reportedSettings(settings: KmsSettings): AksReportedSettings {
  if (settings.mode === "off") return { mode: modeOff };
  if (settings.mode === "pmk") return { mode: AksEncryptionMode.PlatformManagedKey };
  const { mode, keyId, networkAccess, vaultId } = settings;
  return { mode: modes[mode], keyId, vaultNetworkAccess: networkAccess, ...(vaultId === undefined ? {} : { vaultId }) };
}

export interface AksReportInput {
  readonly command: string;
  readonly request: AksRequest;
  readonly keyVersion: number | undefined;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly outcome: AksReportedOutcome;
  readonly steps: readonly AksReportedStep[];
  readonly before: AksSeen | undefined;
  readonly after: AksSeen;
  readonly evidence: AksEvidence | undefined;
  readonly provenEarlier: AksReport["provenEarlier"];
}

export function aksReport(input: AksReportInput): AksReport {
  const { command, request, keyVersion, outcome, steps, before, after, evidence, provenEarlier } = input;
  return {
    formatVersion: 1,
    platform: "aks",
    command,
    cluster: `AKS cluster ${request.clusterId}`,
    goal: { ...reportedSettings(request.goal), ...(keyVersion === undefined ? {} : { keyVersion }) },
    startedAt: iso(input.startedAt),
    finishedAt: iso(input.finishedAt),
    outcome,
    steps,
    rewrittenBy:
      request.access.reach === AksReach.RunCommand
        ? "no-op writes by a command that AKS ran in the cluster"
        : "no-op writes through the cluster's one address",
    before: before === undefined ? undefined : stateOf(before),
    after: stateOf(after),
    evidence,
    ...(provenEarlier === undefined ? {} : { provenEarlier }),
  };
}

/** The text that is signed. */
export function aksReportText(report: AksReport): string {
  return canonicalJson(report as unknown as Json);
}

export function outcomeOf(thrown: unknown): AksReportedOutcome {
  if (!(thrown instanceof KmsEtcdError)) return { kind: "failed", reason: withoutObjectNames(String(thrown)) };
  const { code, message, remedy } = thrown;
  const kind = code === "blocked" || code === "cancelled" ? code : "failed";
  return { kind, reason: withoutObjectNames(message), ...(remedy === undefined ? {} : { remedy }) };
}

/** Keeps a run's steps, with their times, from its events. */
export function stepRecorder(now: () => number): {
  readonly onEvent: (event: AksEvent) => void;
  steps(): readonly AksReportedStep[];
} {
  const recorded = new Map<number, AksReportedStep>();
  return {
    onEvent({ kind, number, leg, message, rewritten }) {
      const known = recorded.get(number);
      if (kind === "leg" && (leg.kind === "set" || leg.kind === "rewrite" || leg.kind === "vault")) {
        recorded.set(number, {
          kind: leg.kind,
          reason: leg.reason,
          startedAt: iso(now()),
          ...(leg.kind === "set" ? { settings: reportedSettings(leg.settings) } : {}),
          ...(leg.kind === "vault" ? { vaultNetworkAccess: leg.network } : {}),
        });
      }
      if (known === undefined) return;
      if (kind === "warning") {
        recorded.set(number, { ...known, problems: [...(known.problems ?? []), withoutObjectNames(message)] });
      }
      if (kind !== "leg-finished") return;
      const under = leg.kind === "rewrite" ? leg.under : undefined;
      const proven =
        rewritten === undefined
          ? {}
          : {
              ...(under === undefined ? {} : { provenUnder: under }),
              secrets: rewritten.objects,
              storedAgain: rewritten.rewritten,
              passes: rewritten.passes,
            };
      recorded.set(number, { ...known, finishedAt: iso(now()), ...proven });
    },
    steps: () => [...recorded.values()],
  };
}

function stateOf({ provisioningState, settings }: AksSeen): AksReportedState {
  return { provisioningState, settings: reportedSettings(settings) };
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

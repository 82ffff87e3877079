/** The outputs of an AksKmsSettings, and what of them a later run may rely on. */
import { AksEncryptionMode } from "../../core/aks-encryption-mode";
import type { AksSeen } from "../../rotation/adapters/aks/aks-engine";
import type { AksEvidence } from "../../rotation/adapters/aks/aks-evidence";
import { modeOff, reportedSettings } from "../../rotation/adapters/aks/aks-report";
import { secondKey } from "../../rotation/adapters/aks/held-keys";
import { areSameSettings, type KmsSettings } from "../../rotation/adapters/aks/kms-settings";
import type { AksHeld } from "../../rotation/adapters/aks/run-aks";
import { isObject, type Properties, type PropertyValue } from "../property-values";
import type { LastRun } from "./aks-inputs";

export interface AksOutputs {
  readonly clusterId: PropertyValue;
  /** What the cluster has; undefined where it could not be seen. */
  readonly settings: KmsSettings | undefined;
  /** What the inputs call the key. */
  readonly wanted: { readonly keyId: PropertyValue | undefined; readonly keyVersion: PropertyValue | undefined };
  readonly atGoal: boolean;
  readonly plan: PropertyValue | undefined;
  readonly evidence: PropertyValue | undefined;
  /** The cluster's ETag of when the evidence was had. */
  readonly provenETag: PropertyValue | undefined;
  readonly previousKeyId: string | undefined;
  /** With which AKS was well before, where it is not well now. */
  readonly lastGood: KmsSettings | undefined;
  /** The last run's report, as a DSSE envelope. */
  readonly report: PropertyValue | undefined;
}

export function aksOutputs(given: AksOutputs): Properties {
  const { clusterId, settings, wanted, atGoal, plan, evidence, provenETag, previousKeyId, lastGood, report } = given;
  const version = settings === undefined ? undefined : activeVersion(settings, wanted);
  return {
    clusterId,
    ...(settings === undefined ? {} : { settings: { ...reportedSettings(settings) } }),
    ...(version === undefined ? {} : { activeKeyVersion: version }),
    atGoal,
    plan: plan ?? [],
    ...(evidence === undefined ? {} : { evidence }),
    ...(evidence === undefined || provenETag === undefined ? {} : { provenETag }),
    ...(previousKeyId === undefined ? {} : { previousKeyId }),
    ...(lastGood === undefined ? {} : { lastGoodSettings: { ...reportedSettings(lastGood) } }),
    ...(report === undefined ? {} : { report }),
  };
}

/** 0 for plaintext; the version of the inputs where the cluster has its key; otherwise nobody can tell. */
function activeVersion(settings: KmsSettings, { keyId, keyVersion }: AksOutputs["wanted"]): number | undefined {
  if (settings.mode === "off") return 0;
  if (settings.mode !== "legacy" || typeof keyVersion !== "number" || typeof keyId !== "string") return undefined;
  return settings.keyId.toLowerCase() === keyId.toLowerCase() ? keyVersion : undefined;
}

/** The settings in an output; undefined where there are none. */
function settingsFrom(settings: PropertyValue | undefined): KmsSettings | undefined {
  if (settings === undefined || !isObject(settings)) return undefined;
  const { mode, keyId, vaultNetworkAccess, vaultId } = settings;
  if (mode === modeOff) return { mode: "off" };
  if (mode === AksEncryptionMode.PlatformManagedKey) return { mode: "pmk" };
  if (typeof keyId !== "string") return undefined;
  return {
    mode: mode === AksEncryptionMode.CustomerManagedKey ? "cmk" : "legacy",
    keyId,
    networkAccess: vaultNetworkAccess === "Private" ? "Private" : "Public",
    ...(typeof vaultId === "string" ? { vaultId } : {}),
  };
}

/** What an earlier run has left behind, for the next one. */
export function lastRun(outputs: Properties): LastRun {
  const { evidence, settings, previousKeyId, provenETag, lastGoodSettings } = outputs;
  return {
    settings: isComplete(evidence) ? settingsFrom(settings) : undefined,
    provenETag: typeof provenETag === "string" ? provenETag : undefined,
    previousKeyId: typeof previousKeyId === "string" ? previousKeyId : undefined,
    lastGood: settingsFrom(lastGoodSettings) ?? settingsFrom(settings),
  };
}

type Known = Pick<AksOutputs, "evidence" | "provenETag" | "previousKeyId" | "lastGood">;

/** What of the outputs still holds for the cluster as it is seen now; undefined where nobody could look. */
export function whatHolds(before: Properties, now: AksSeen | undefined): Known {
  const { previousKeyId, lastGood, provenETag } = lastRun(before);
  if (now === undefined) return { evidence: undefined, provenETag: undefined, previousKeyId, lastGood };
  const settings = settingsFrom(before["settings"]);
  const isSame = settings !== undefined && areSameSettings(settings, now.settings);
  // Whoever has changed the cluster since may have had other settings in between. What the platform does by itself goes on.
  const isUntouched = !isComplete(before["evidence"]) || provenETag === undefined || provenETag === now.eTag;
  const holds = isSame && isUntouched;
  return {
    evidence: holds ? before["evidence"] : undefined,
    provenETag: holds ? provenETag : undefined,
    previousKeyId: settings === undefined ? previousKeyId : secondKey(settings, previousKeyId, now.settings),
    lastGood: lastGoodAt(now, lastGood),
  };
}

/** What a run has left that ended early, after AKS was asked for something: nothing is proven any more. */
export function whatIsHeld({ settings, previousKeyId, lastGood }: AksHeld, now: AksSeen | undefined): Known {
  const unproven = { evidence: undefined, provenETag: undefined };
  if (now === undefined) return { ...unproven, previousKeyId, lastGood };
  const second = secondKey(settings, previousKeyId, now.settings);
  return { ...unproven, previousKeyId: second, lastGood: lastGoodAt(now, lastGood) };
}

/** Undefined where AKS is well now: then it is the settings of now. */
function lastGoodAt(
  { provisioningState, settings }: AksSeen,
  before: KmsSettings | undefined,
): KmsSettings | undefined {
  const isKnown = provisioningState === "Succeeded" || before === undefined || areSameSettings(before, settings);
  return isKnown ? undefined : before;
}

function isComplete(evidence: PropertyValue | undefined): boolean {
  return evidence !== undefined && isObject(evidence) && evidence["complete"] === true;
}

/** `before` as long as `now` says the same, so that its time is when that was first seen. */
export function evidenceToKeep(before: PropertyValue | undefined, now: AksEvidence): PropertyValue {
  if (isObject(before) && before["digest"] === now.digest) return before;
  return {
    resources: now.resources.map((entry) => ({ ...entry, keys: entry.keys.map((key) => ({ ...key })) })),
    servers: now.servers.map((server) => ({ ...server })),
    method: now.method,
    discovery: now.discovery,
    provenAt: now.provenAt,
    complete: now.complete,
    digest: now.digest,
  };
}

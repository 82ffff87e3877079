/** The outputs of an AksKmsSettings, and what of them a later run may rely on. */
import { AksEncryptionMode } from "../../core/aks-encryption-mode";
import type { AksEvidence } from "../../rotation/adapters/aks/aks-evidence";
import { modeOff, reportedSettings } from "../../rotation/adapters/aks/aks-report";
import { areSameSettings, type KmsSettings } from "../../rotation/adapters/aks/kms-settings";
import { isObject, type Properties, type PropertyValue } from "../property-values";

export interface AksOutputs {
  readonly clusterId: PropertyValue;
  /** What the cluster has; undefined where it could not be seen. */
  readonly settings: KmsSettings | undefined;
  /** What the inputs call the key. */
  readonly wanted: { readonly keyId: PropertyValue | undefined; readonly keyVersion: PropertyValue | undefined };
  readonly atGoal: boolean;
  readonly plan: PropertyValue | undefined;
  readonly evidence: PropertyValue | undefined;
  readonly previousKeyId: string | undefined;
  /** The last run's report, as a DSSE envelope. */
  readonly report: PropertyValue | undefined;
}

export function aksOutputs(given: AksOutputs): Properties {
  const { clusterId, settings, wanted, atGoal, plan, evidence, previousKeyId, report } = given;
  const version = settings === undefined ? undefined : activeVersion(settings, wanted);
  return {
    clusterId,
    ...(settings === undefined ? {} : { settings: { ...reportedSettings(settings) } }),
    ...(version === undefined ? {} : { activeKeyVersion: version }),
    atGoal,
    plan: plan ?? [],
    ...(evidence === undefined ? {} : { evidence }),
    ...(previousKeyId === undefined ? {} : { previousKeyId }),
    ...(report === undefined ? {} : { report }),
  };
}

/** 0 for plaintext; the version of the inputs where the cluster has its key; otherwise nobody can tell. */
function activeVersion(settings: KmsSettings, { keyId, keyVersion }: AksOutputs["wanted"]): number | undefined {
  if (settings.mode === "off") return 0;
  if (settings.mode !== "legacy" || typeof keyVersion !== "number" || typeof keyId !== "string") return undefined;
  return settings.keyId.toLowerCase() === keyId.toLowerCase() ? keyVersion : undefined;
}

/** The settings in outputs; undefined where there are none. */
function settingsIn({ settings }: Properties): KmsSettings | undefined {
  if (!isObject(settings)) return undefined;
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

/** The settings under which everything is proven to be stored, by what the outputs say. */
export function provenIn(outputs: Properties): KmsSettings | undefined {
  const { evidence } = outputs;
  return isObject(evidence) && evidence["complete"] === true ? settingsIn(outputs) : undefined;
}

/** What an earlier run has left behind, for the next one. */
export function lastRun(outputs: Properties): {
  readonly settings: KmsSettings | undefined;
  readonly previousKeyId: string | undefined;
} {
  const { previousKeyId } = outputs;
  return {
    settings: provenIn(outputs),
    previousKeyId: typeof previousKeyId === "string" ? previousKeyId : undefined,
  };
}

/** The second key that AKS holds under `now`, by what was there before: every change makes the key before it the second one. */
export function previousKeyIn(before: Properties, now: KmsSettings): string | undefined {
  const settings = settingsIn(before);
  if (settings === undefined || areSameSettings(settings, now)) return lastRun(before).previousKeyId;
  return settings.mode === "legacy" ? settings.keyId : undefined;
}

/** Evidence that still holds under `settings`: it was had under the same ones. */
export function evidenceThatHolds(outputs: Properties, settings: KmsSettings): PropertyValue | undefined {
  const before = settingsIn(outputs);
  return before !== undefined && areSameSettings(before, settings) ? outputs["evidence"] : undefined;
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

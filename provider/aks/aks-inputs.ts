/** The inputs of an AksKmsSettings as they are meant, with the defaults; what is wrong with them; and what the rules are told of them. */
import { accessViolations, aksLimitDefaults, choiceViolations, clusterIdViolations } from "../../core/aks-block";
import type { AksCredential } from "../../core/aks-credential";
import { AksEncryptionMode } from "../../core/aks-encryption-mode";
import type { AksReach } from "../../core/aks-reach";
import { parseAzureKeyId, parseVaultId } from "../../core/azure-key-id";
import { azureRules } from "../../core/azure-rules/azure-rules";
import type { AksKmsMode } from "../../core/azure-rules/facts";
import { checkRules, type FactPaths, type GivenFacts, notYetKnown, violationOf } from "../../core/azure-rules/rule";
import { unknownInputViolations, wholeNumberViolations } from "../../core/input-rules";
import type { AksRequest } from "../../rotation/adapters/aks/aks-engine";
import type { PlannedKeys } from "../../rotation/adapters/aks/held-keys";
import type { KmsSettings } from "../../rotation/adapters/aks/kms-settings";
import { hasUnknown, isObject, type Properties, type PropertyValue, unknown } from "../property-values";
import type { CheckProblem } from "../resource";
import { reportSigningProblems, secretSigningInputs } from "../rollout/report-signing";

const inputNames = [
  ...["clusterId", "mode", "enabled", "keyId", "keyVersion", "vaultNetworkAccess", "vaultId", "ownsVaultNetwork"],
  ...["identityId", "authorization", "kubernetes", "limits", "reportSigning"],
];

/** Paths of the inputs that the state must hold as secrets, whoever gave them as plain values. */
export const secretInputs: readonly string[] = ["kubernetes.kubeconfig", ...secretSigningInputs];

/** Where facts stand in the inputs. */
const factPaths: FactPaths = {
  keyVaultResourceId: "vaultId",
  kmsEnabled: "enabled",
  kubernetesVersion: "clusterId",
  clusterIdentityType: "clusterId",
  clusterIdentityIds: "clusterId",
  servicePrincipalClientId: "clusterId",
  vnetIntegration: "clusterId",
  identityRoles: "clusterId",
  identityKeyPermissions: "clusterId",
  location: "clusterId",
  systemPoolsToZero: "clusterId",
  keyType: "keyId",
  keyOperations: "keyId",
  keyEnabled: "keyId",
  keyNotBefore: "keyId",
  keyExpires: "keyId",
  keyRotationPolicy: "keyId",
  purgeProtection: "vaultId",
  vaultTenantId: "vaultId",
  vaultBypass: "vaultId",
  vaultDefaultAction: "vaultId",
  accessPolicies: "vaultId",
  rbacAuthorization: "authorization",
  roleScope: "clusterId",
  apiServerSubnetId: "clusterId",
  apiServerSubnet: "clusterId",
  disableRunCommand: "kubernetes.reach",
  retiredKeyIds: "keyId",
};

/** Of these inputs: a fact is put down to the input that says it, where there is one. */
export function factPathsOf({ identityId }: Properties): FactPaths {
  return isAbsent(identityId) ? factPaths : { ...factPaths, clusterIdentityIds: "identityId" };
}

const modes: Readonly<Record<AksEncryptionMode, AksKmsMode>> = {
  [AksEncryptionMode.KmsPlugin]: "legacy",
  [AksEncryptionMode.CustomerManagedKey]: "cmk",
  [AksEncryptionMode.PlatformManagedKey]: "pmk",
};

const isLater = (value: unknown): boolean => value === unknown;

/** Everything that is wrong with `inputs` by themselves. What is not known yet is taken to be right; the update checks it again. */
export function aksProblems(inputs: Properties): readonly CheckProblem[] {
  const { keyVersion, mode } = inputs;
  const facts = aksFacts(inputs);
  const own = [
    ...unknownInputViolations(inputs, inputNames),
    ...clusterIdViolations(inputs["clusterId"], isLater),
    ...choiceViolations("mode", mode, Object.values(AksEncryptionMode), isLater),
    ...choiceViolations("vaultNetworkAccess", inputs["vaultNetworkAccess"], ["Public", "Private"], isLater),
    ...choiceViolations("authorization", inputs["authorization"], ["Rbac", "AccessPolicies"], isLater),
    ...(isAbsent(inputs["identityId"]) || isLater(inputs["identityId"]) || typeof inputs["identityId"] === "string"
      ? []
      : [{ path: "identityId", reason: "is no text; write the identity's resource id" }]),
    ...["enabled", "ownsVaultNetwork"].flatMap((path) => flagProblems(path, inputs[path])),
    ...accessViolations(inputs, isLater),
    ...reportSigningProblems(inputs["reportSigning"]),
    ...(isAbsent(keyVersion) || keyVersion === unknown ? [] : wholeNumberViolations("keyVersion", keyVersion, true)),
    ...(inputs["ownsVaultNetwork"] === true && isAbsent(inputs["vaultId"])
      ? [{ path: "vaultId", reason: "is missing: ownsVaultNetwork is about that vault; name it" }]
      : []),
    ...(keyVersion !== unknown && !isAbsent(keyVersion) && !isAbsent(mode) && mode !== AksEncryptionMode.KmsPlugin
      ? [{ path: "keyVersion", reason: "is given, but the platform rotates the key by itself; leave it out" }]
      : []),
  ];
  return own.length > 0 ? own : checkRules(inputRules, facts, factPaths).errors.map(violationOf);
}

const inputFacts = ["mode", "clusterId", "kmsEnabled", "keyId", "vaultNetworkAccess", "keyVaultResourceId"];
/** What can be checked before Azure is asked: a rule that reads more would take what nobody has looked at for something left out. */
const inputRules = azureRules.filter(({ reads }) => reads.every((name) => inputFacts.includes(name)));

/** What the rules are told of inputs that are right in form. */
export function aksFacts(inputs: Properties): GivenFacts {
  const mode = modeOf(inputs);
  const text = (value: PropertyValue | undefined) => (value === unknown ? notYetKnown : (value as string | undefined));
  const usesVault = mode === "legacy" || mode === "cmk";
  const network = inputs["vaultNetworkAccess"] ?? "Public";
  // AKS is told the vault only where it has to know it.
  const namesVault = mode === "cmk" || (mode === "legacy" && network === "Private");
  const facts: Record<string, unknown> = {
    mode: mode ?? notYetKnown,
    clusterId: text(inputs["clusterId"]),
    kmsEnabled: usesVault,
    keyId: mode === "off" ? undefined : cmkForm(mode, text(inputs["keyId"])),
    vaultNetworkAccess: usesVault ? text(network) : undefined,
    keyVaultResourceId: namesVault ? text(inputs["vaultId"]) : undefined,
  };
  const identityId = text(inputs["identityId"]);
  facts["clusterIdentityIds"] = typeof identityId === "string" ? [identityId] : identityId;
  const { authorization } = inputs;
  if (usesVault && !isAbsent(authorization) && isInVault(inputs["keyId"], inputs["vaultId"])) {
    facts["rbacAuthorization"] = authorization === unknown ? notYetKnown : authorization === "Rbac";
  }
  if (mode === "pmk") facts["keyVaultResourceId"] = text(inputs["vaultId"]);
  if (network === unknown && mode === "legacy") facts["keyVaultResourceId"] = notYetKnown;
  const known = Object.entries(facts).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(known);
}

/** What an earlier run has left behind, for the next one. */
export interface LastRun {
  /** Under which everything is proven to be stored, and the cluster's ETag of then. */
  readonly settings: KmsSettings | undefined;
  readonly provenETag: string | undefined;
  /** The second key that AKS holds. */
  readonly previousKeyId: string | undefined;
  /** With which AKS was well last. */
  readonly lastGood: KmsSettings | undefined;
}

/** What the run is asked for; undefined while the cluster, or what decides about it, is not known. */
export function aksRequest(
  inputs: Properties,
  last: LastRun | undefined,
  plannedKeys: PlannedKeys,
): { readonly request: AksRequest; readonly isWhole: boolean } | undefined {
  const { clusterId, vaultId, kubernetes, limits } = inputs;
  const mode = modeOf(inputs);
  if (typeof clusterId !== "string" || mode === undefined || hasUnknown(kubernetes) || hasUnknown(limits))
    return undefined;
  const { kubeconfig, credential, reach } = isObject(kubernetes) ? kubernetes : {};
  const network = inputs["vaultNetworkAccess"] ?? "Public";
  const keyId = cmkForm(mode, inputs["keyId"]);
  const isWhole = keyId !== unknown && vaultId !== unknown && network !== unknown;
  const seconds = (name: keyof typeof aksLimitDefaults): number => {
    const value = isObject(limits) ? limits[name] : undefined;
    return (typeof value === "number" ? value : aksLimitDefaults[name]) * 1_000;
  };
  const request: AksRequest = {
    clusterId,
    goal:
      mode === "legacy" || mode === "cmk"
        ? {
            mode,
            // A key that is yet to be made has an identifier that no key can have, so that a plan can be made.
            keyId: typeof keyId === "string" ? keyId : toBeMade,
            networkAccess: network === "Private" ? "Private" : "Public",
            ...(typeof vaultId === "string" ? { vaultId } : {}),
          }
        : { mode },
    vaultId: typeof vaultId === "string" ? vaultId : undefined,
    ownsVaultNetwork: inputs["ownsVaultNetwork"] === true,
    access: {
      ...(typeof kubeconfig === "string" ? { kubeconfig } : {}),
      ...(typeof credential === "string" ? { credential: credential as AksCredential } : {}),
      ...(typeof reach === "string" ? { reach: reach as AksReach } : {}),
    },
    limits: {
      apiMs: seconds("apiSeconds"),
      busyMs: seconds("busySeconds"),
      grantMs: seconds("grantSeconds"),
      settleMs: seconds("settleSeconds"),
    },
    provenBefore: last?.settings,
    provenETag: last?.provenETag,
    previousKeyId: last?.previousKeyId,
    lastGood: last?.lastGood,
    plannedKeys,
  };
  return { request, isWhole };
}

export const toBeMade = "(to be made)";

function modeOf(inputs: Properties): AksKmsMode | undefined {
  if (inputs["mode"] === unknown || inputs["enabled"] === unknown) return undefined;
  if (inputs["enabled"] === false) return "off";
  return modes[(inputs["mode"] ?? AksEncryptionMode.KmsPlugin) as AksEncryptionMode];
}

/** KMS data encryption follows a key's newest version; whoever names one means its key, so rule A3 has nothing to refuse. */
function cmkForm<Value>(mode: AksKmsMode | undefined, keyId: Value): Value | string {
  if (mode !== "cmk" || typeof keyId !== "string") return keyId;
  const version = parseAzureKeyId(keyId)?.keyVersion;
  return version === undefined ? keyId : keyId.slice(0, -version.length - 1);
}

/** Whether the key is in the vault that is named: a key that is given may be in another one, about which the inputs say nothing. */
function isInVault(keyId: PropertyValue | undefined, vaultId: PropertyValue | undefined): boolean {
  if (typeof keyId !== "string" || typeof vaultId !== "string") return true;
  return parseAzureKeyId(keyId)?.vaultName.toLowerCase() === parseVaultId(vaultId)?.vaultName.toLowerCase();
}

function flagProblems(path: string, value: PropertyValue | undefined): readonly CheckProblem[] {
  if (isAbsent(value) || value === unknown || typeof value === "boolean") return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write true or false` }];
}

function isAbsent(value: PropertyValue | undefined): boolean {
  return value === undefined || value === null;
}

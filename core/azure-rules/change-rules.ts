/** J1 to L3: moves from one way of encrypting to another, rotation, and what must not be removed. */
import { parseVaultId } from "../azure-key-id";
import { type AzureRule, rule } from "./rule";

/** Whether a Kubernetes version (`1.33`, `1.33.2`) is `major.minor` or newer; undefined for any other text. */
function isAtLeast(version: string | undefined, major: number, minor: number): boolean | undefined {
  const [, givenMajor, givenMinor] = /^v?(\d+)\.(\d+)/.exec(version ?? "") ?? [];
  if (givenMajor === undefined || givenMinor === undefined) return undefined;
  return Number(givenMajor) > major || (Number(givenMajor) === major && Number(givenMinor) >= minor);
}

function isDataEncryption(mode: string | undefined): boolean {
  return mode === "cmk" || mode === "pmk";
}

function isSame(one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && one.toLowerCase() === other?.toLowerCase();
}

/** The vault of a resource id or of a key's id. */
function vaultOf(resourceId: string | undefined, keyId: string | undefined): string | undefined {
  const name = parseVaultId(resourceId ?? "")?.vaultName ?? /^https:\/\/([^.]+)\./.exec(keyId ?? "")?.[1];
  return name?.toLowerCase();
}

export const changeRules: readonly AzureRule[] = [
  rule("J1", "error", ["mode", "kubernetesVersion"], ({ mode, kubernetesVersion }) => {
    if (!isDataEncryption(mode) || isAtLeast(kubernetesVersion, 1, 33) !== false) return undefined;
    return {
      at: "kubernetesVersion",
      reason: `is ${kubernetesVersion ?? ""}, and KMS data encryption needs 1.33 or newer`,
      remedy: "upgrade the cluster first, or use the KMS plugin",
    };
  }),
  rule(
    "J2",
    "error",
    ["kmsV1Before", "modeBefore", "mode", "kubernetesVersion"],
    ({ kmsV1Before, modeBefore, mode, kubernetesVersion }) => {
      if (kmsV1Before !== true || modeBefore !== "legacy" || mode !== "legacy") return undefined;
      if (isAtLeast(kubernetesVersion, 1, 27) !== true) return undefined;
      return {
        at: "kubernetesVersion",
        reason: `is ${kubernetesVersion ?? ""}, but AKS refuses to upgrade a cluster that encrypts through KMS v1`,
        remedy: "turn encryption off (enabled: false), upgrade, then turn it on: every step rewrites all Secrets",
      };
    },
  ),
  rule("J2", "warning", ["mode", "kubernetesVersion"], ({ mode, kubernetesVersion }) => {
    if (mode !== "legacy" || isAtLeast(kubernetesVersion, 1, 27) !== false) return undefined;
    return {
      at: "kubernetesVersion",
      reason: `is ${kubernetesVersion ?? ""}, where AKS encrypts through KMS v1, and it will refuse the upgrade to 1.27; KMS v1 bears 2,000 Secrets at the most`,
      remedy: "turn encryption off (enabled: false), upgrade, then turn it on: every step rewrites all Secrets",
    };
  }),
  rule("J3", "error", ["kmsV1Before", "modeBefore", "mode"], ({ kmsV1Before, modeBefore, mode }) => {
    if (kmsV1Before !== true || modeBefore !== "legacy" || !isDataEncryption(mode)) return undefined;
    return {
      at: "mode",
      reason: "moves from KMS v1 to KMS data encryption, which AKS refuses",
      remedy: "move to KMS v2 first: turn encryption off, upgrade to 1.27 or newer, turn it on",
    };
  }),
  rule("J4", "error", ["modeBefore", "mode"], ({ modeBefore, mode }) => {
    if (!isDataEncryption(modeBefore) || (mode !== "legacy" && mode !== "off")) return undefined;
    return {
      at: "mode",
      reason: "leaves KMS data encryption, which can't be turned off or exchanged for the KMS plugin",
      remedy: "stay with it, or make another cluster",
    };
  }),
  rule("J5", "error", ["mode", "keyId", "keyVaultResourceId"], ({ mode, keyId, keyVaultResourceId }) => {
    if (mode !== "pmk" || ((keyId ?? "") === "" && (keyVaultResourceId ?? "") === "")) return undefined;
    return {
      at: (keyId ?? "") === "" ? "keyVaultResourceId" : "keyId",
      reason: "is given, but the platform manages the key itself",
      remedy: "leave it out, or use a customer-managed key",
    };
  }),
  rule(
    "J6",
    "warning",
    ["mode", "aksApiVersion", "kmsPreviewRegistered"],
    ({ mode, aksApiVersion, kmsPreviewRegistered }) => {
      if (!isDataEncryption(mode) || aksApiVersion?.endsWith("-preview") !== true) return undefined;
      if (mode === "pmk" && kmsPreviewRegistered === true) return undefined;
      const feature = "Microsoft.ContainerService/KMSPMKPreview";
      return {
        at: "mode",
        reason: "is a preview of Azure's",
        remedy:
          mode === "pmk"
            ? `register the feature ${feature} in the subscription, then the provider again (az provider register -n Microsoft.ContainerService)`
            : "see the terms of previews before you use it for production",
      };
    },
  ),
  rule(
    "J7",
    "warning",
    ["mode", "modeBefore", "clusterExists", "kubernetesVersion"],
    ({ mode, modeBefore, clusterExists, kubernetesVersion }) => {
      // A cluster that has no encryption yet is as free to choose as a new one.
      const isNew = clusterExists === false || modeBefore === "off";
      if (mode !== "legacy" || !isNew || isAtLeast(kubernetesVersion, 1, 33) !== true) return undefined;
      return {
        at: "mode",
        reason: "is the KMS plugin; for clusters of 1.33 and newer Azure recommends KMS data encryption",
        remedy: "keep it if you decide when keys rotate, or want evidence of it",
      };
    },
  ),
  rule(
    "J8",
    "warning",
    ["modeBefore", "mode", "secretBlockingPolicies"],
    ({ modeBefore, mode, secretBlockingPolicies = [] }) => {
      if (!isDataEncryption(mode) || mode === modeBefore || secretBlockingPolicies.length === 0) return undefined;
      return {
        at: "secretBlockingPolicies",
        reason: `may refuse AKS's own rewriting of Secrets: ${secretBlockingPolicies.join(", ")}`,
        remedy: "suspend them until the move has ended",
      };
    },
  ),
  rule(
    "K1",
    "error",
    [
      ...(["mode", "modeBefore", "vaultNetworkAccess", "vaultNetworkAccessBefore"] as const),
      ...(["keyVaultResourceId", "keyVaultResourceIdBefore", "keyId", "keyIdBefore"] as const),
    ],
    (facts) => {
      if (facts.mode !== "legacy" || facts.modeBefore !== "legacy") return undefined;
      const { vaultNetworkAccess: access, vaultNetworkAccessBefore: before } = facts;
      if (access === undefined || before === undefined || access === before) return undefined;
      const vault = vaultOf(facts.keyVaultResourceId, facts.keyId);
      if (vault === undefined || vault !== vaultOf(facts.keyVaultResourceIdBefore, facts.keyIdBefore)) return undefined;
      return {
        at: "vaultNetworkAccess",
        reason: `changes from ${before} to ${access} for the vault that the cluster uses, which AKS can't do in one step`,
        remedy:
          "let the rollout do it (encryption off, Secrets rewritten, vault changed, encryption on), or use another vault",
      };
    },
  ),
  rule("K2", "error", ["modeBefore", "kmsEnabled", "mode"], ({ modeBefore, kmsEnabled, mode }) => {
    if (modeBefore !== "legacy" || kmsEnabled !== undefined || (mode !== undefined && mode !== "off")) return undefined;
    return {
      at: "kmsEnabled",
      reason: "is left out, which leaves encryption on: AKS turns it off only when it is told to",
      remedy: "write false",
    };
  }),
  rule("K3", "warning", ["modeBefore", "mode", "keyIdBefore"], ({ modeBefore, mode, keyIdBefore }) => {
    if (modeBefore !== "legacy" || mode !== "off" || keyIdBefore === undefined) return undefined;
    return {
      at: "mode",
      reason: `turns encryption off, but the API server and backups still need ${keyIdBefore}`,
      remedy: "keep the key, the vault and the identity's access as long as the cluster lives",
    };
  }),
  ...(["error", "warning"] as const).map((level) =>
    rule("K4", level, ["kmsEnabled", "keyId"], ({ kmsEnabled, keyId }) => {
      if (kmsEnabled === undefined || kmsEnabled !== (level === "error")) return undefined;
      const given = (keyId ?? "") !== "";
      if (given !== (level === "warning")) return undefined;
      return level === "error"
        ? { at: "keyId", reason: "is missing, and encryption is on", remedy: "give the key's identifier" }
        : { at: "keyId", reason: "is given, but encryption is off", remedy: "leave it out" };
    }),
  ),
  rule(
    "L1",
    "error",
    ["mode", "keyId", "keyIdBefore", "rewrittenWithKeyId", "clusterExists"],
    ({ mode, keyId, keyIdBefore, rewrittenWithKeyId, clusterExists }) => {
      if (mode !== "legacy" || clusterExists !== true || keyId === undefined || keyIdBefore === undefined)
        return undefined;
      if (isSame(keyId, keyIdBefore) || isSame(rewrittenWithKeyId, keyIdBefore)) return undefined;
      return {
        at: "keyId",
        reason: `changes although not every Secret is proven to be under ${keyIdBefore}: AKS holds two keys, so the ones from before would be lost`,
        remedy: "let the rollout to the current key end first",
      };
    },
  ),
  rule("L2", "error", ["retiredKeyIds", "heldKeyIds"], ({ retiredKeyIds = [], heldKeyIds = [] }) => {
    const held = retiredKeyIds.find((retired) => heldKeyIds.some((key) => isSame(key, retired)));
    if (held === undefined) return undefined;
    return {
      at: "retiredKeyIds",
      reason: `would disable ${held}, one of the two keys that AKS holds`,
      remedy: "rotate first, and twice where it is the key of now; disable it by an update after that",
    };
  }),
  rule("L3", "error", ["deletedIds", "dependentClusters"], ({ deletedIds = [], dependentClusters = [] }) => {
    if (deletedIds.length === 0 || dependentClusters.length === 0) return undefined;
    return {
      at: "deletedIds",
      reason: `would delete ${deletedIds.join(", ")}, which ${dependentClusters.join(", ")} needs to read its Secrets`,
      remedy: "delete the cluster first",
    };
  }),
];

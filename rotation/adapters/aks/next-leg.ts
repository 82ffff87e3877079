/**
 * What to do next to a cluster of AKS, from what it has and what is wanted. Pure, and without a memory: whoever is interrupted
 * asks again. AKS itself moves its API servers; between two moves everything stored has to be written again by us, because AKS keeps
 * two keys and no more.
 *
 * Rules, in order:
 *  1. While AKS works on the cluster, wait: it takes one operation at a time. A cluster that was stopped has no API servers, and is left alone.
 *  2. KMS data encryption can't be left; and under KMS v1 no key is exchanged for another, because nothing there tells an object under the
 *     older one from an object under the newer one.
 *  3. After a failed operation, rewrite first: nobody knows how far it came, and then ask for the settings again. What has failed again goes
 *     back to the settings from before it, unless that would be a way out of KMS data encryption: AKS still has their key, and a cluster whose
 *     API servers do not come up serves nobody.
 *  4. Before any change, what is stored must be under the key that writes now: the change may push the older one out.
 *  5. The network of a vault changes only while no cluster uses it: off, rewrite, vault, on. KMS data encryption comes in as a trusted
 *     service and need not let go: a vault opens before AKS is told, and closes after.
 *  6. Ask for the settings that are wanted.
 *  7. Rewrite under them.
 */
import { areSameSettings, type KmsSettings, type VaultNetwork, vaultOf } from "./kms-settings";

/** What stored data is under: a key's identifier, or plaintext. */
export type StoredUnder = string;
export const plaintext: StoredUnder = "plaintext";

export interface ObservedCluster {
  /** ARM's word: Succeeded, Failed, Canceled, or what it works on. */
  readonly provisioningState: string;
  /** Whether somebody has stopped the cluster. */
  readonly isStopped?: boolean;
  readonly kms: KmsSettings;
  /**
   * What every stored object is proven to be under; undefined when that is not known. A rewrite while the last operation counts as failed
   * proves nothing, because the API servers may be on either side of it.
   */
  readonly storedUnder: StoredUnder | undefined;
  /** Whether every object was written again after the operation that failed. */
  readonly rewrittenSinceFailure: boolean;
  /** How the vault that is wanted is reached now; undefined when it is not ours to change. */
  readonly vaultNetwork: VaultNetwork | undefined;
  /** Whether the settings that are there encrypt by KMS v1, as before Kubernetes 1.27. */
  readonly kmsV1?: boolean;
  /** What to go back to, once the settings that are there have failed again in this run; undefined when there is nothing to. */
  readonly goBackTo?: KmsSettings | undefined;
}

export type Leg =
  | { readonly kind: "wait"; readonly reason: string }
  /** `under` is what it has to prove; undefined when it can prove nothing. */
  | { readonly kind: "rewrite"; readonly under: StoredUnder | undefined; readonly reason: string }
  /** The vault of the wanted settings gets another network. */
  | { readonly kind: "vault"; readonly vault: string; readonly network: VaultNetwork; readonly reason: string }
  | { readonly kind: "set"; readonly settings: KmsSettings; readonly reason: string }
  | { readonly kind: "blocked"; readonly reason: string; readonly remedy: string }
  | { readonly kind: "done" };

/** What the KMS plugin writes with; undefined where the platform writes and rewrites by itself. */
export function writerOf(settings: KmsSettings): StoredUnder | undefined {
  if (settings.mode === "off") return plaintext;
  return settings.mode === "legacy" ? settings.keyId : undefined;
}

export function nextLeg(cluster: ObservedCluster, goal: KmsSettings): Leg {
  const { provisioningState, kms, storedUnder, vaultNetwork } = cluster;
  // 1
  if (!["Succeeded", "Failed", "Canceled"].includes(provisioningState)) {
    return { kind: "wait", reason: `AKS is at work on the cluster (${provisioningState})` };
  }
  if (cluster.isStopped === true) {
    return {
      kind: "blocked",
      reason: "the cluster is stopped: its settings can't be changed, and no Secret can be written again",
      remedy: "start it (az aks start --name NAME --resource-group GROUP), then run again",
    };
  }
  // 2
  const isEncrypted = kms.mode === "cmk" || kms.mode === "pmk";
  if (isEncrypted && (goal.mode === "legacy" || goal.mode === "off")) {
    return {
      kind: "blocked",
      reason: "the cluster uses KMS data encryption, which can't be turned off or exchanged for the KMS plugin",
      remedy: "stay with it, or make another cluster",
    };
  }
  if (cluster.kmsV1 === true && kms.mode === "legacy" && goal.mode === "legacy" && !isSame(kms.keyId, goal.keyId)) {
    return {
      kind: "blocked",
      reason:
        "the cluster encrypts by KMS v1, where nothing can show that an object has come from one key to the other",
      remedy: "turn encryption off (enabled: false), upgrade the cluster to Kubernetes 1.27 or newer, then turn it on",
    };
  }
  const writer = writerOf(kms);
  const isRewritten = writer === undefined || isSame(storedUnder, writer);
  // 3
  if (provisioningState !== "Succeeded") {
    if (!cluster.rewrittenSinceFailure && writer !== undefined) {
      return rewrite(undefined, "the last operation failed, and nobody knows how far it came");
    }
    return cluster.goBackTo === undefined
      ? { kind: "set", settings: kms, reason: "the last operation failed; its settings are asked for again" }
      : { kind: "set", settings: cluster.goBackTo, reason: "it has failed again; back to the settings from before it" };
  }
  const isThere = areSameSettings(kms, goal);
  // 4
  if (!isThere && !isRewritten) return rewrite(writer, "AKS keeps two keys: what is under an older one would be lost");
  // 5
  const wantedNetwork = goal.mode === "legacy" || goal.mode === "cmk" ? goal.networkAccess : undefined;
  const vaultDiffers = wantedNetwork !== undefined && vaultNetwork !== undefined && vaultNetwork !== wantedNetwork;
  const vaultLeg: Leg | undefined = vaultDiffers
    ? {
        kind: "vault",
        vault: vaultOf(goal) ?? "",
        network: wantedNetwork,
        reason: `the vault becomes ${wantedNetwork}`,
      }
    : undefined;
  const usesVault = kms.mode === "legacy" && vaultOf(kms) === vaultOf(goal);
  // Where only the vault has changed it is put back: to turn KMS off would not help AKS to a key that it can't reach.
  if (usesVault && goal.mode === "legacy" && kms.networkAccess !== goal.networkAccess) {
    return {
      kind: "set",
      settings: { mode: "off" },
      reason: "AKS has to let go of the vault while its network changes; new Secrets are plaintext meanwhile",
    };
  }
  const closesLast = goal.mode === "cmk" && wantedNetwork === "Private";
  if (vaultLeg !== undefined && !(closesLast && !isThere)) return vaultLeg;
  // 6
  if (!isThere) return { kind: "set", settings: goal, reason: "these are the settings that are wanted" };
  // 7
  if (!isRewritten) return rewrite(writer, "what is stored is not proven to be under these settings");
  return { kind: "done" };
}

function rewrite(under: StoredUnder | undefined, reason: string): Leg {
  return { kind: "rewrite", under, reason };
}

function isSame(one: StoredUnder | undefined, other: StoredUnder): boolean {
  return one?.toLowerCase() === other.toLowerCase();
}

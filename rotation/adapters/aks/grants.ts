/**
 * What the cluster's identity was granted may take minutes to arrive at the vault, and ARM has no sign for that. So it is probed: by what AKS
 * says when it is asked, and, where AKS can't look into a vault, by how old the newest grant is that may be missing.
 */
import { KmsEtcdError } from "../../../core/errors";
import type { ArmBody, ArmClient } from "../azure/arm-client";
import { armCodeOf } from "../azure/arm-error";
import type { KmsSettings } from "./kms-settings";

/** The version of the API for role assignments. */
export const roleApiVersion = "2022-04-01";

interface ClusterIdentity {
  readonly principalId: string;
  readonly clientId: string;
}

/** The user-assigned identity that a cluster runs as, as far as ARM shows it. ARM writes resource ids in any case. */
export function identityIn(cluster: ArmBody): ClusterIdentity | undefined {
  const { userAssignedIdentities } = (cluster["identity"] ?? {}) as {
    readonly userAssignedIdentities?: Readonly<Record<string, Partial<ClusterIdentity> | undefined>>;
  };
  const [assigned] = Object.values(userAssignedIdentities ?? {});
  if (typeof assigned?.principalId !== "string") return undefined;
  return { principalId: assigned.principalId, clientId: assigned.clientId ?? "" };
}

/**
 * Whether AKS says that the cluster's identity lacks a permission, which passes by itself while a grant is on its way. What whoever runs
 * Pulumi lacks comes under the same code, with another name.
 */
export function isMissingGrant(thrown: unknown, cluster: ArmBody): boolean {
  const code = armCodeOf(thrown);
  if (code?.startsWith("AzureKeyVaultKmsValidateIdentityPermission") === true) return true;
  if (code !== "LinkedAuthorizationFailed" && code !== "AuthorizationFailed") return false;
  const { principalId = "", clientId = "" } = identityIn(cluster) ?? {};
  const said = thrown instanceof Error ? thrown.message.toLowerCase() : "";
  return [principalId, clientId].some((id) => id !== "" && said.includes(id.toLowerCase()));
}

export interface FreshGrants {
  /**
   * How old the newest grant is that an operation with `settings` may have missed, in milliseconds; undefined where it can't be for that:
   * AKS looks at public vaults itself, access policies hold at once, and older grants have arrived.
   */
  ageOf(settings: KmsSettings, cluster: ArmBody, signal: AbortSignal): Promise<number | undefined>;
}

/** `spreadMs`: how long a grant may take to arrive. */
export function freshGrants(client: Pick<ArmClient, "list">, spreadMs: number): FreshGrants {
  return {
    async ageOf(settings, cluster, signal) {
      const principalId = identityIn(cluster)?.principalId;
      if (settings.mode !== "legacy" || settings.networkAccess !== "Private" || principalId === undefined)
        return undefined;
      if (settings.vaultId === undefined) return undefined;
      const filter = encodeURIComponent(`principalId eq '${principalId}'`);
      const path = `${settings.vaultId}/providers/Microsoft.Authorization/roleAssignments?$filter=${filter}`;
      try {
        const ages = (await client.list(path, roleApiVersion, signal)).map(ageOfAssignment);
        const youngest = Math.min(...ages);
        return youngest < spreadMs ? Math.max(0, youngest) : undefined;
      } catch (thrown) {
        if (!(thrown instanceof KmsEtcdError) || thrown.code === "cancelled") throw thrown;
        // Whoever may not see grants has not made them in this update either.
        return undefined;
      }
    },
  };
}

function ageOfAssignment({ properties }: ArmBody): number {
  const { createdOn } = (properties ?? {}) as { readonly createdOn?: unknown };
  const made = typeof createdOn === "string" ? Date.parse(createdOn) : Number.NaN;
  return Number.isNaN(made) ? Number.POSITIVE_INFINITY : Date.now() - made;
}

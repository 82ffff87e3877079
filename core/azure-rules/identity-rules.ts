/** C1 to C5 and I1 to I5: the cluster's identity, and what it may do with the vault. */
import { type AzureRule, rule } from "./rule";

const cryptoUser = "Key Vault Crypto User";
/** Roles that include encrypt and decrypt. */
const cryptoRoles = [cryptoUser, "Key Vault Crypto Officer", "Key Vault Administrator"];
const contributor = "Key Vault Contributor";
/** Roles that may approve a private endpoint to a vault. */
const connectRoles = [contributor, "Contributor", "Owner"];
const wrapOnly = "Key Vault Crypto Service Encryption User";
const withoutUserAssigned = ["usdodcentral", "usdodeast", "usgoviowa"];

function usesVault(mode: string | undefined): boolean {
  return mode === "legacy" || mode === "cmk";
}

function plain(location: string): string {
  return location.toLowerCase().replaceAll(/\s/g, "");
}

export const identityRules: readonly AzureRule[] = [
  rule("C1", "error", ["mode", "clusterIdentityType"], ({ mode, clusterIdentityType }) => {
    if (!usesVault(mode) || clusterIdentityType === undefined || clusterIdentityType === "UserAssigned")
      return undefined;
    return {
      at: "clusterIdentityType",
      reason: `is ${clusterIdentityType}, but the identity must have its access to the vault before the cluster exists`,
      remedy: "give the cluster a user-assigned identity (type UserAssigned)",
    };
  }),
  rule("C2", "error", ["clusterIdentityType", "clusterIdentityIds"], ({ clusterIdentityType, clusterIdentityIds }) => {
    if (clusterIdentityType !== "UserAssigned" || clusterIdentityIds?.length === 1) return undefined;
    return {
      at: "clusterIdentityIds",
      reason: `names ${clusterIdentityIds?.length ?? 0} identities, but a cluster has one user-assigned identity`,
      remedy: "name exactly one",
    };
  }),
  ...(["error", "warning"] as const).map((level) =>
    rule(
      "C3",
      level,
      ["mode", "modeBefore", "clusterExists", "clusterIdentityIds", "clusterIdentityIdsBefore"],
      ({ mode, modeBefore, clusterExists, clusterIdentityIds, clusterIdentityIdsBefore }) => {
        if (mode !== (level === "error" ? "legacy" : "cmk") || modeBefore === mode || clusterExists !== true)
          return undefined;
        const same = (clusterIdentityIds ?? []).every((id) =>
          (clusterIdentityIdsBefore ?? []).some((before) => before.toLowerCase() === id.toLowerCase()),
        );
        if (clusterIdentityIds === undefined || same) return undefined;
        return {
          at: "clusterIdentityIds",
          reason:
            "changes the cluster's identity in the update that turns encryption on: for hours AKS still uses tokens of the earlier one",
          remedy: "change the identity first, wait until the cluster uses it (hours), then turn encryption on",
        };
      },
    ),
  ),
  rule(
    "C4",
    "error",
    ["mode", "servicePrincipalClientId", "clusterIdentityType"],
    ({ mode, servicePrincipalClientId, clusterIdentityType }) => {
      if (mode === undefined || mode === "off") return undefined;
      const principal = servicePrincipalClientId ?? "msi";
      if (principal === "msi" && clusterIdentityType !== "None") return undefined;
      return {
        at: "servicePrincipalClientId",
        reason:
          "makes the cluster run as a service principal, and AKS encrypts etcd for clusters with a managed identity only",
        remedy: "move the cluster to a user-assigned managed identity first",
      };
    },
  ),
  rule("C5", "warning", ["mode", "location", "clusterIdentityType"], ({ mode, location, clusterIdentityType }) => {
    if (!usesVault(mode) || clusterIdentityType !== "UserAssigned" || location === undefined) return undefined;
    if (!withoutUserAssigned.includes(plain(location))) return undefined;
    return {
      at: "location",
      reason: `is ${location}, where AKS does not support user-assigned cluster identities`,
      remedy: "use another region",
    };
  }),
  rule(
    "I1",
    "error",
    ["mode", "rbacAuthorization", "identityRoles", "identityKeyPermissions"],
    ({ mode, rbacAuthorization, identityRoles, identityKeyPermissions }) => {
      if (!usesVault(mode)) return undefined;
      if (rbacAuthorization === false) {
        const missing = ["encrypt", "decrypt"].filter(
          (permission) => !(identityKeyPermissions ?? []).some((given) => given.toLowerCase() === permission),
        );
        if (identityKeyPermissions === undefined || missing.length === 0) return undefined;
        return {
          at: "identityKeyPermissions",
          reason: `leaves out ${missing.join(" and ")}, which the cluster's identity needs`,
          remedy: "give it the key permissions encrypt and decrypt before encryption is turned on",
        };
      }
      if (identityRoles === undefined || cryptoRoles.some((role) => identityRoles.includes(role))) return undefined;
      // I4 says it better.
      if (identityRoles.includes(wrapOnly)) return undefined;
      return {
        at: "identityRoles",
        reason: `leaves out ${cryptoUser}, which the cluster's identity needs`,
        remedy: `grant ${cryptoUser} on the vault before encryption is turned on`,
      };
    },
  ),
  rule(
    "I2",
    "error",
    ["mode", "vaultNetworkAccess", "identityRoles"],
    ({ mode, vaultNetworkAccess, identityRoles }) => {
      if (!usesVault(mode) || vaultNetworkAccess !== "Private" || identityRoles === undefined) return undefined;
      if (connectRoles.some((role) => identityRoles.includes(role))) return undefined;
      return {
        at: "identityRoles",
        reason: `leaves out ${contributor}: the cluster's identity needs it to connect to a private vault`,
        remedy: `grant ${contributor} on the vault too`,
      };
    },
  ),
  rule("I3", "warning", ["mode", "identityRoles"], ({ mode, identityRoles }) => {
    if (mode !== "cmk" || identityRoles === undefined || identityRoles.includes("Key Vault Reader")) return undefined;
    return {
      at: "identityRoles",
      reason: "leaves out Key Vault Reader, which the page about moving to KMS data encryption asks for",
      remedy: "grant it on the vault too",
    };
  }),
  rule("I4", "error", ["mode", "identityRoles"], ({ mode, identityRoles }) => {
    if (!usesVault(mode) || identityRoles?.includes(wrapOnly) !== true) return undefined;
    if (cryptoRoles.some((role) => identityRoles.includes(role))) return undefined;
    return {
      at: "identityRoles",
      reason: `has ${wrapOnly}, which may wrap and unwrap, but not encrypt and decrypt`,
      remedy: `grant ${cryptoUser} instead`,
    };
  }),
  rule("I5", "warning", ["roleScope"], ({ roleScope }) => {
    if (roleScope === undefined || !/\/vaults\/[^/]+\/keys\//i.test(roleScope)) return undefined;
    return {
      at: "roleScope",
      reason: "is one key of the vault, so the next version's key would need a grant of its own",
      remedy: "assign the role at the vault",
    };
  }),
];

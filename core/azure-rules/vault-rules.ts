/** H1 to H8: the vault. */
import { type AzureRule, rule } from "./rule";

const longestRetention = 90;
/** What Pulumi adds to a name that it makes. */
const addedCharacters = 8;
const longestVaultName = 24;
const vaultNameForm = /^[a-z](?:-?[a-z0-9])+$/i;
/** Versions of the management API before this one are switched off on `retirement`. */
const oldestLasting = "2026-02-01";
const retirement = "2027-02-27";

export const vaultRules: readonly AzureRule[] = [
  ...(["error", "warning"] as const).map((level) =>
    rule("H1", level, ["vaultIsNew", "purgeProtection"], ({ vaultIsNew, purgeProtection }) => {
      // A vault of the user's own is the user's decision.
      if (purgeProtection === true || vaultIsNew === undefined || vaultIsNew !== (level === "error")) return undefined;
      // H2 says what to write instead of false.
      if (vaultIsNew && purgeProtection === false) return undefined;
      return {
        at: "purgeProtection",
        reason: "is off: whoever purges the key makes every Secret unreadable for good",
        remedy: "turn the vault's purge protection on (it can't be turned off again)",
      };
    }),
  ),
  rule("H2", "error", ["vaultIsNew", "purgeProtection"], ({ vaultIsNew, purgeProtection }) => {
    if (vaultIsNew !== true || purgeProtection !== false) return undefined;
    return {
      at: "purgeProtection",
      reason: "is false, which Azure refuses",
      remedy: "write true; a purged key makes every Secret unreadable",
    };
  }),
  rule(
    "H3",
    "error",
    ["softDeleteRetentionInDays", "softDeleteRetentionInDaysBefore"],
    ({ softDeleteRetentionInDays: days, softDeleteRetentionInDaysBefore: before }) => {
      if (days === undefined) return undefined;
      if (!Number.isInteger(days) || days < 7 || days > longestRetention) {
        return {
          at: "softDeleteRetentionInDays",
          reason: `is ${days}`,
          remedy: "write 7 to 90; it can't be changed later",
        };
      }
      if (before === undefined || before === days) return undefined;
      return {
        at: "softDeleteRetentionInDays",
        reason: `is ${days}, but the vault was made with ${before}, and that can't be changed`,
        remedy: `write ${before}`,
      };
    },
  ),
  rule("H4", "warning", ["softDeleteRetentionInDays"], ({ softDeleteRetentionInDays: days }) => {
    if (days === undefined || days < 7 || days >= longestRetention) return undefined;
    return {
      at: "softDeleteRetentionInDays",
      reason: `is ${days}: for no longer than that a deleted key can be had back`,
      remedy: "write 90",
    };
  }),
  rule(
    "H5",
    "error",
    ["vaultInUse", "rbacAuthorization", "rbacAuthorizationBefore"],
    ({ vaultInUse, rbacAuthorization, rbacAuthorizationBefore }) => {
      if (vaultInUse !== true || rbacAuthorization === undefined || rbacAuthorizationBefore === undefined)
        return undefined;
      if (rbacAuthorization === rbacAuthorizationBefore) return undefined;
      return {
        at: "rbacAuthorization",
        reason:
          "changes how the vault grants access while a cluster uses it: every grant of the other kind stops at once",
        remedy: "move to another vault (another key version), or turn encryption off first",
      };
    },
  ),
  rule("H6", "error", ["rbacAuthorization", "accessPolicies"], ({ rbacAuthorization, accessPolicies }) => {
    if (rbacAuthorization !== true || (accessPolicies ?? 0) === 0) return undefined;
    return {
      at: "accessPolicies",
      reason: "are ignored by a vault that grants access by roles",
      remedy: "grant by roles, or use a vault with access policies",
    };
  }),
  rule("H7", "warning", ["vaultApiVersion"], ({ vaultApiVersion }) => {
    if (vaultApiVersion === undefined || vaultApiVersion >= oldestLasting) return undefined;
    return {
      at: "vaultApiVersion",
      reason: `is ${vaultApiVersion}; Azure switches management API versions before ${oldestLasting} off on ${retirement}`,
      remedy: "update @pulumi/azure-native before that",
    };
  }),
  rule("H8", "error", ["vaultName", "vaultNameStem"], ({ vaultName, vaultNameStem }) => {
    const rules = "3 to 24 letters, digits and single hyphens, beginning with a letter";
    if (vaultName !== undefined) {
      if (vaultName.length >= 3 && vaultName.length <= longestVaultName && vaultNameForm.test(vaultName))
        return undefined;
      return { at: "vaultName", reason: `is ${JSON.stringify(vaultName)}`, remedy: `write ${rules}` };
    }
    if (vaultNameStem === undefined) return undefined;
    if (vaultNameStem.length <= longestVaultName - addedCharacters && vaultNameForm.test(vaultNameStem))
      return undefined;
    return {
      at: "vaultName",
      reason: `is missing, and no name can be made of ${JSON.stringify(vaultNameStem)} and ${addedCharacters} more characters`,
      remedy: `write ${rules}`,
    };
  }),
];

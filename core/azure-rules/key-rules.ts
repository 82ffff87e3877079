/** G1 to G10: the key itself. */
import type { RotationPolicy } from "./facts";
import { type AzureRule, rule } from "./rule";

const day = 86_400_000;
/** A key that expires within this time is warned about: a rotation has to be planned, reviewed and carried out before. */
const expiryWarningDays = 90;
const shortestRotationDays = 7;

/** Days of an ISO 8601 duration; months and years as their shortest. Undefined for any other text. */
function daysOf(duration: string): number | undefined {
  const [, years, months, weeks, days] = /^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?$/.exec(duration) ?? [];
  const counts = [years, months, weeks, days];
  if (counts.every((count) => count === undefined)) return undefined;
  return [365, 28, 7, 1].reduce((sum, unit, index) => sum + unit * Number(counts[index] ?? 0), 0);
}

function rotates(policy: RotationPolicy | undefined): boolean {
  return (policy?.actions ?? []).some((action) => action.type.toLowerCase() === "rotate");
}

export const keyRules: readonly AzureRule[] = [
  rule("G1", "error", ["keyType"], ({ keyType }) => {
    if (keyType === undefined || ["RSA", "RSA-HSM"].includes(keyType)) return undefined;
    return {
      at: "keyType",
      reason: `is ${keyType}, and KMS plugins for Key Vault use RSA: another type fails later, as if a permission were missing`,
      remedy: "write RSA or RSA-HSM",
    };
  }),
  rule("G2", "error", ["keyOperations"], ({ keyOperations }) => {
    const missing = ["encrypt", "decrypt"].filter((operation) => keyOperations?.includes(operation) === false);
    if (missing.length === 0) return undefined;
    return {
      at: "keyOperations",
      reason: `leave out ${missing.join(" and ")}`,
      remedy: "the key must allow encrypt and decrypt",
    };
  }),
  rule("G3", "error", ["keyType", "vaultSku"], ({ keyType, vaultSku }) => {
    if (keyType !== "RSA-HSM" || vaultSku?.toLowerCase() !== "standard") return undefined;
    return {
      at: "keyType",
      reason: "is RSA-HSM, but the vault is a standard one",
      remedy: "use a premium vault, or RSA",
    };
  }),
  rule("G4", "error", ["keySize"], ({ keySize }) => {
    if (keySize === undefined || [2048, 3072, 4096].includes(keySize)) return undefined;
    return { at: "keySize", reason: `is ${keySize}`, remedy: "write 2048, 3072 or 4096" };
  }),
  rule("G5", "error", ["keyEnabled", "keyNotBefore", "now"], ({ keyEnabled, keyNotBefore, now }) => {
    if (keyEnabled === false) {
      return {
        at: "keyEnabled",
        reason: "is false, so nothing can encrypt with the key",
        remedy: "enable the key first",
      };
    }
    if (keyNotBefore === undefined || now === undefined || Date.parse(keyNotBefore) <= Date.parse(now))
      return undefined;
    return {
      at: "keyNotBefore",
      reason: `is ${keyNotBefore}: the key can't be used before that`,
      remedy: "use a key that is valid now",
    };
  }),
  ...(["error", "warning"] as const).map((level) =>
    rule("G6", level, ["keyExpires", "now"], ({ keyExpires, now }) => {
      if (keyExpires === undefined || now === undefined) return undefined;
      const left = (Date.parse(keyExpires) - Date.parse(now)) / day;
      if (level === "error" ? left > 0 : left <= 0 || left >= expiryWarningDays) return undefined;
      return {
        at: "keyExpires",
        reason:
          left <= 0
            ? `is ${keyExpires}: the key has expired, so nothing can be encrypted with it`
            : `is ${keyExpires}: from then on (in ${Math.floor(left)} days) the KMS plugin fails with KeyExpired`,
        remedy: "extend the key's expiry, or rotate to another version before",
      };
    }),
  ),
  rule("G7", "error", ["mode", "keyRotationPolicy"], ({ mode, keyRotationPolicy }) => {
    if (mode === "cmk" || keyRotationPolicy?.expiryTime === undefined) return undefined;
    return {
      at: "keyRotationPolicy",
      reason: `lets every version expire after ${keyRotationPolicy.expiryTime}, and Secrets stay under the version that is set`,
      remedy: "leave out expiryTime",
    };
  }),
  rule("G8", "warning", ["mode", "keyRotationPolicy"], ({ mode, keyRotationPolicy }) => {
    if (mode === "cmk" || !rotates(keyRotationPolicy)) return undefined;
    return {
      at: "keyRotationPolicy",
      reason: "makes new versions of the key, which nothing uses until keyVersion is raised and Secrets are rewritten",
      remedy: "leave out the action rotate, and rotate by keyVersion",
    };
  }),
  rule("G9", "error", ["keyRotationPolicy"], ({ keyRotationPolicy }) => {
    for (const action of keyRotationPolicy?.actions ?? []) {
      if (action.timeBeforeExpiry !== undefined && keyRotationPolicy?.expiryTime === undefined) {
        return {
          at: "keyRotationPolicy",
          reason: "has timeBeforeExpiry, but versions have no expiry",
          remedy: "write timeAfterCreate instead",
        };
      }
      const after = daysOf(action.timeAfterCreate ?? "");
      if (action.type.toLowerCase() === "rotate" && after !== undefined && after < shortestRotationDays) {
        return {
          at: "keyRotationPolicy",
          reason: `rotates after ${action.timeAfterCreate ?? ""}`,
          remedy: "write P7D or more: Key Vault refuses less",
        };
      }
    }
    return undefined;
  }),
  rule("G10", "error", ["changedKeySettings"], ({ changedKeySettings = [] }) => {
    if (changedKeySettings.length === 0) return undefined;
    return {
      at: "changedKeySettings",
      reason: `differ from the key that exists (${changedKeySettings.join(", ")}), and Azure ignores such changes without a word`,
      remedy:
        "make a new key version with them; a key's expiry and whether it is enabled can be changed by AzureKeyAttributes",
    };
  }),
];

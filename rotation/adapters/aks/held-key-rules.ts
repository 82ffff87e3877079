/** What the rules say of the keys that AKS holds beside the one that is wanted, and of what an update wants of any of them. */
import { azureRules } from "../../../core/azure-rules/azure-rules";
import type { AzureFacts } from "../../../core/azure-rules/facts";
import { checkRules, type FactPaths, type Finding, type Findings } from "../../../core/azure-rules/rule";
import type { PlannedKeys } from "./held-keys";
import type { KmsSettings } from "./kms-settings";

interface OtherKey {
  readonly keyId: string;
  readonly facts: Partial<AzureFacts>;
}

/** Rules about one version of a key, whichever of the two that AKS holds it is. */
const ofVersions = azureRules.filter(({ id }) => id === "G5" || id === "G6");

/** Which keys AKS holds from now on, and which of them this update disables. A key that AKS follows is there without a version: it holds them all. */
export function heldFacts(
  request: { readonly goal: KmsSettings; readonly plannedKeys: PlannedKeys },
  others: readonly Pick<OtherKey, "keyId">[],
): { readonly heldKeyIds: readonly string[]; readonly retiredKeyIds: readonly string[] } {
  const { goal, plannedKeys } = request;
  const held = [
    ...(goal.mode === "legacy" || goal.mode === "cmk" ? [goal.keyId] : []),
    ...others.map(({ keyId }) => keyId),
  ];
  return { heldKeyIds: held, retiredKeyIds: held.filter((keyId) => plannedKeys(keyId)?.enabled === false) };
}

/**
 * With what is wrong with the other keys. While the cluster is to be changed it is an error: AKS could not bring its API servers up. Otherwise
 * it is trouble that is there already, and no reason to stop an update of something else.
 */
export function withOtherKeys(
  findings: Findings,
  others: readonly OtherKey[],
  paths: FactPaths,
  changes: boolean,
): Findings {
  const found = others.map(({ keyId, facts }) => {
    const { errors, warnings } = checkRules(ofVersions, facts, paths);
    const named = (finding: Finding): Finding => ({
      ...finding,
      reason: `${finding.reason} (of ${keyId}, the other key that AKS holds, until the next rotation is proven)`,
    });
    return { errors: errors.map(named), warnings: warnings.map(named) };
  });
  const errors = found.flatMap((one) => one.errors);
  return {
    errors: changes ? [...findings.errors, ...errors] : findings.errors,
    warnings: [...findings.warnings, ...(changes ? [] : errors), ...found.flatMap((one) => one.warnings)],
    skipped: findings.skipped,
  };
}

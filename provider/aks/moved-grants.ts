/**
 * The vault in which the program grants the cluster's identity its access is another one than before. The grants in the earlier one go with
 * that, at the end of the same update, and AKS can't use its keys there any more.
 */
import { parseAzureKeyId, parseVaultId } from "../../core/azure-key-id";
import type { Properties } from "../property-values";
import type { CheckProblem } from "../resource";

/** `olds` and `news` are the inputs before and now, `heldKeyIds` the keys that AKS holds or will hold. */
export function movedGrantProblems(
  olds: Properties | undefined,
  news: Properties,
  heldKeyIds: readonly string[],
): readonly CheckProblem[] {
  const before = grantingVault(olds);
  const now = grantingVault(news);
  if (before === undefined || now === undefined || before === now) return [];
  const held = heldKeyIds.find((keyId) => parseAzureKeyId(keyId)?.vaultName.toLowerCase() === before);
  if (held === undefined) return [];
  return [
    {
      path: "vaultId",
      reason: `names another vault than before, so the cluster's access to the earlier one would be taken away, and AKS still holds ${held}; leave the vault of azureKeyVault as it is, name the next version's key in azureKeyVault.keyIds and its vault in aks.vaultId (docs/aks.md, "Another vault"). For grants that stay, leave authorization out`,
    },
  ];
}

/** Its name, in lower case, where the program both grants there and says how. */
function grantingVault(inputs: Properties | undefined): string | undefined {
  const { vaultId, identityId, authorization } = inputs ?? {};
  const isGranted = typeof identityId === "string" && typeof authorization === "string";
  return isGranted && typeof vaultId === "string" ? parseVaultId(vaultId)?.vaultName.toLowerCase() : undefined;
}

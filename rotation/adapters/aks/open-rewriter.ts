/** How the Secrets of a cluster are reached: from here, by the kubeconfig that is given or that ARM gives. */
import type { ArmAccess } from "../azure/arm-access";
import { type ApiAccess, apiAddress } from "./api-address";
import { kubeconfigRewriter } from "./kubeconfig-rewriter";
import type { ManagedClusterState } from "./managed-cluster";
import type { SecretsRewriter } from "./secrets-rewriter";

export async function openRewriter(
  { arm, entraToken }: ArmAccess,
  { body }: ManagedClusterState,
  access: ApiAccess,
  signal: AbortSignal,
): Promise<SecretsRewriter> {
  const id = typeof body["id"] === "string" ? body["id"] : "";
  return kubeconfigRewriter(await apiAddress(arm, id, access, entraToken, signal));
}

/** How the Secrets of a cluster are reached: from here, by the kubeconfig that is given or that ARM gives, or by a command in the cluster. */

import { AksReach } from "../../../core/aks-reach";
import type { ArmAccess } from "../azure/arm-access";
import { type ApiAccess, apiAddress } from "./api-address";
import { kubeconfigRewriter } from "./kubeconfig-rewriter";
import type { ManagedClusterState } from "./managed-cluster";
import { runCommandRewriter } from "./run-command-rewriter";
import type { SecretsRewriter } from "./secrets-rewriter";

export async function openRewriter(
  { arm, entraToken }: ArmAccess,
  { body }: ManagedClusterState,
  access: ApiAccess,
  signal: AbortSignal,
): Promise<SecretsRewriter> {
  if (access.reach === AksReach.RunCommand) return runCommandRewriter(arm, body, entraToken);
  const id = typeof body["id"] === "string" ? body["id"] : "";
  return kubeconfigRewriter(await apiAddress(arm, id, access, entraToken, signal));
}

/** The whole matrix of rules about Azure inputs, in the order of docs/azure.md. This folder knows Azure's limits and nothing of Pulumi. */
import { changeRules } from "./change-rules";
import { clusterNetworkRules } from "./cluster-network-rules";
import { identityRules } from "./identity-rules";
import { keyIdRules } from "./key-id-rules";
import { keyRules } from "./key-rules";
import { networkAccessRules } from "./network-access-rules";
import type { AzureRule } from "./rule";
import { vaultRules } from "./vault-rules";

export const azureRules: readonly AzureRule[] = [
  ...keyIdRules,
  ...networkAccessRules,
  ...identityRules,
  ...clusterNetworkRules,
  ...keyRules,
  ...vaultRules,
  ...changeRules,
];

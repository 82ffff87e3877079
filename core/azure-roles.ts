/** Azure's built-in roles that this package grants, and the names of the grants. */
import { createHash } from "node:crypto";

/** Ids of built-in role definitions: the same in every tenant and cloud. */
export const azureRoles = {
  "Key Vault Crypto User": "12338af0-0e69-4776-bea7-57ae8d297424",
  "Key Vault Crypto Officer": "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
  "Key Vault Contributor": "f25e0fa2-a7c8-4377-a976-54943a77a395",
  "Key Vault Reader": "21090545-7ca7-4776-b22c-e363652d74d2",
} as const;

/** Names of the built-in roles that matter to a vault's keys, by id; nothing here grants the others. */
export const azureRoleNames: ReadonlyMap<string, string> = new Map([
  ...Object.entries(azureRoles).map(([name, id]): [string, string] => [id, name]),
  ["e147488a-f6f5-4113-8e2d-b22465e65bf6", "Key Vault Crypto Service Encryption User"],
  ["00482a5a-887f-4fb3-b363-3b7fe8e74483", "Key Vault Administrator"],
  ["4d97b98b-1d4f-4787-a291-c67834d212e7", "Network Contributor"],
  ["b12aa53e-6015-4669-85d0-8515ebb3ae7f", "Private DNS Zone Contributor"],
  ["f1a07417-d97a-45cb-824c-7a7467783830", "Managed Identity Operator"],
  ["acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader"],
  // These let ARM do much, but nothing with a key.
  ["8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner"],
  ["b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor"],
  ["7f951dda-4ed3-4680-a7ca-43fe172d538d", "AcrPull"],
]);

export type AzureRole = keyof typeof azureRoles;

/** The resource id of a role, as a role assignment wants it. */
export function roleDefinitionId(subscriptionId: string, role: AzureRole): string {
  return `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${azureRoles[role]}`;
}

/** Made for this package. Never change it: every role assignment would be made anew under another name. */
const namespace = Buffer.from("6f1c0b1e5a5b4f0e9a6d3c2f7b8e4d11", "hex");

/**
 * The name of a role assignment, a UUID of version 5 (RFC 9562) over where, who and what: the same grant has the same name whenever
 * it is made, so making it again can't conflict with itself.
 */
export function roleAssignmentName(scope: string, principalId: string, role: AzureRole): string {
  const what = [scope, principalId, azureRoles[role]].join("|").toLowerCase();
  const digest = createHash("sha1").update(namespace).update(what).digest().subarray(0, 16);
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x50, 6);
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8);
  return digest.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

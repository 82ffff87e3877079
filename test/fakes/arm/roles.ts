/**
 * Azure's built-in roles as far as this product's users and parts have them. Ids and permissions: facts/aks.md 1.8 and Azure's
 * published list of built-in roles; what grants nothing of importance here is left out, so a caller is refused rather than let in.
 */
export interface Role {
  readonly id: string;
  readonly name: string;
  readonly actions: readonly string[];
  readonly notActions?: readonly string[];
  readonly dataActions?: readonly string[];
}

const keys = "Microsoft.KeyVault/vaults/keys";
const readEverything = ["*/read"];
const assignments = "Microsoft.Authorization/roleAssignments";

export const roles = {
  owner: { id: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", name: "Owner", actions: ["*"] },
  contributor: {
    id: "b24988ac-6180-42a0-ab88-20f7382dd24c",
    name: "Contributor",
    actions: ["*"],
    notActions: ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"],
  },
  reader: { id: "acdd72a7-3385-48ef-bd42-f606fba81ae7", name: "Reader", actions: readEverything },
  userAccessAdministrator: {
    id: "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
    name: "User Access Administrator",
    actions: [...readEverything, "Microsoft.Authorization/*"],
  },
  keyVaultContributor: {
    id: "f25e0fa2-a7c8-4377-a976-54943a77a395",
    name: "Key Vault Contributor",
    actions: ["Microsoft.KeyVault/*", "Microsoft.Resources/subscriptions/resourceGroups/read"],
  },
  keyVaultReader: {
    id: "21090545-7ca7-4776-b22c-e363652d74d2",
    name: "Key Vault Reader",
    actions: ["Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/read"],
    dataActions: ["Microsoft.KeyVault/vaults/*/read"],
  },
  keyVaultAdministrator: {
    id: "00482a5a-887f-4fb3-b363-3b7fe8e74483",
    name: "Key Vault Administrator",
    actions: ["Microsoft.KeyVault/vaults/*/read"],
    dataActions: ["Microsoft.KeyVault/vaults/*"],
  },
  keyVaultCryptoOfficer: {
    id: "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
    name: "Key Vault Crypto Officer",
    actions: ["Microsoft.KeyVault/vaults/*/read"],
    dataActions: [`${keys}/*`, "Microsoft.KeyVault/vaults/keyrotationpolicies/*"],
  },
  keyVaultCryptoUser: {
    id: "12338af0-0e69-4776-bea7-57ae8d297424",
    name: "Key Vault Crypto User",
    actions: [],
    dataActions: [
      `${keys}/read`,
      `${keys}/update/action`,
      `${keys}/backup/action`,
      ...["encrypt", "decrypt", "wrap", "unwrap", "sign", "verify"].map((operation) => `${keys}/${operation}/action`),
    ],
  },
  keyVaultCryptoServiceEncryptionUser: {
    id: "e147488a-f6f5-4113-8e2d-b22465e65bf6",
    name: "Key Vault Crypto Service Encryption User",
    actions: [],
    dataActions: [`${keys}/read`, `${keys}/wrap/action`, `${keys}/unwrap/action`],
  },
  keyVaultDataAccessAdministrator: {
    id: "8b54135c-b56d-4d72-a534-26097cfdc8d8",
    name: "Key Vault Data Access Administrator",
    actions: [
      `${assignments}/write`,
      `${assignments}/delete`,
      `${assignments}/read`,
      "Microsoft.KeyVault/vaults/*/read",
    ],
  },
  keyVaultPurgeOperator: {
    id: "a68e7c17-0ab2-4c09-9a58-125dae29748c",
    name: "Key Vault Purge Operator",
    actions: [
      "Microsoft.KeyVault/deletedVaults/read",
      "Microsoft.KeyVault/locations/*/read",
      "Microsoft.KeyVault/locations/deletedVaults/purge/action",
    ],
  },
  networkContributor: {
    id: "4d97b98b-1d4f-4787-a291-c67834d212e7",
    name: "Network Contributor",
    actions: ["Microsoft.Network/*", "Microsoft.Resources/subscriptions/resourceGroups/read"],
  },
  privateDnsZoneContributor: {
    id: "b12aa53e-6015-4669-85d0-8515ebb3ae7f",
    name: "Private DNS Zone Contributor",
    actions: ["Microsoft.Network/privateDnsZones/*", "Microsoft.Network/virtualNetworks/join/action"],
  },
  managedIdentityOperator: {
    id: "f1a07417-d97a-45cb-824c-7a7467783830",
    name: "Managed Identity Operator",
    actions: [
      "Microsoft.ManagedIdentity/userAssignedIdentities/read",
      "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    ],
  },
  acrPull: {
    id: "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    name: "AcrPull",
    actions: ["Microsoft.ContainerRegistry/registries/pull/read"],
  },
  acrPush: {
    id: "8311e382-0749-4cb8-b61a-304f252e45ec",
    name: "AcrPush",
    actions: ["Microsoft.ContainerRegistry/registries/pull/read", "Microsoft.ContainerRegistry/registries/push/write"],
  },
  monitoringContributor: {
    id: "749f88d5-cbae-40b8-bcfc-e573ddc772fa",
    name: "Monitoring Contributor",
    actions: [...readEverything, "Microsoft.Insights/*", "Microsoft.OperationalInsights/*"],
  },
  aksContributor: {
    id: "ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8",
    name: "Azure Kubernetes Service Contributor Role",
    actions: [
      "Microsoft.ContainerService/managedClusters/read",
      "Microsoft.ContainerService/managedClusters/write",
      "Microsoft.Resources/subscriptions/resourceGroups/read",
    ],
  },
} as const satisfies Readonly<Record<string, Role>>;

export function findRole(id: string): Role | undefined {
  return Object.values<Role>(roles).find((role) => role.id === id.toLowerCase());
}

/** Whether a pattern of a role, `*` for anything, covers an action. */
export function covers(pattern: string, action: string): boolean {
  const expression = pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*");
  return new RegExp(`^${expression}$`, "i").test(action);
}

export function roleAllows(role: Role, action: string, plane: "control" | "data"): boolean {
  const allowed = plane === "control" ? role.actions : (role.dataActions ?? []);
  const denied = plane === "control" ? (role.notActions ?? []) : [];
  return allowed.some((pattern) => covers(pattern, action)) && !denied.some((pattern) => covers(pattern, action));
}

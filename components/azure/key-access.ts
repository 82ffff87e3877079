/** What lets a cluster use the keys of a vault, and what lets people and pipelines work with them. */
import * as pulumi from "@pulumi/pulumi";
import { parseVaultId, type VaultId } from "../../core/azure-key-id";
import { keyUserViolations } from "../../core/azure-key-vault-block";
import { type AzureRole, roleAssignmentName, roleDefinitionId } from "../../core/azure-roles";
import { unknownInputViolations } from "../../core/input-rules";
import { typeTokens } from "../../core/type-tokens";
import { inputError } from "../input-error";
import { type AzureKeyUserArgs, type GrantedPrincipal, principalOf } from "./azure-key-user";
import { loadAzureNative } from "./azure-native";
import { VaultAuthorization } from "./vault-choices";

/** The inputs of a KeyAccess. */
export interface KeyAccessArgs {
  /** Resource id of the vault. Another one later grants there, and takes the grants in the earlier one away. */
  readonly vaultId: pulumi.Input<string>;
  /**
   * How the vault grants access.
   * @default "Rbac"
   */
  readonly authorization?: VaultAuthorization;
  /**
   * Who encrypts and decrypts, by names of your own: the role Key Vault Crypto User, or the key permissions decrypt and encrypt. A name is
   * part of the grant's identity: another name takes the grant away and gives it anew.
   */
  readonly users?: Record<string, AzureKeyUserArgs>;
  /**
   * Who makes keys and changes their attributes, by names of your own: the role Key Vault Crypto Officer, or the key permissions for that.
   */
  readonly administrators?: Record<string, AzureKeyUserArgs>;
  /**
   * Whether the one who first runs Pulumi is an administrator too. Others who run it later do not take its place.
   * @default false
   */
  readonly deployerAdministers?: boolean;
  /**
   * Whether the users may connect a private endpoint to the vault too (the role Key Vault Contributor). The identity of an AKS cluster
   * needs it for a private vault.
   * @default false
   */
  readonly connectPrivateEndpoints?: boolean;
  /**
   * Whether the users may see the vault's properties too (the role Key Vault Reader). KMS data encryption of AKS asks for it.
   * @default false
   */
  readonly readVault?: boolean;
  /**
   * Keep Pulumi from taking grants away by mistake: a cluster without its grant can't read its Secrets.
   * @default true
   */
  readonly protectGrants?: boolean;
}

const inputNames = [
  ...["vaultId", "authorization", "users", "administrators", "deployerAdministers", "connectPrivateEndpoints"],
  ...["readVault", "protectGrants"],
];

/** In the seed's order. Nothing else: no plugin needs more. */
const userPermissions = ["decrypt", "encrypt"];
/** To make a key, to see it, to change its attributes, and to have a deleted one back. Neither to delete nor to purge. */
const administratorPermissions = ["create", "get", "list", "recover", "update"];

/** Grants access to the keys of a vault, in the way that the vault grants access. */
export class KeyAccess extends pulumi.ComponentResource {
  /** Resource id of the vault, once everything is granted. */
  readonly vaultId: pulumi.Output<string>;

  constructor(name: string, args: KeyAccessArgs, opts?: pulumi.ComponentResourceOptions) {
    const violations = [
      ...unknownInputViolations(args as unknown as Record<string, unknown>, inputNames),
      ...keyUserViolations("users", args.users),
      ...keyUserViolations("administrators", args.administrators),
    ];
    if (violations.length > 0) throw inputError("KeyAccess", violations);
    super(typeTokens.keyAccess, name, args, opts);
    const vault = {
      id: pulumi.output(args.vaultId).apply(provenVaultId),
      authorization: args.authorization ?? VaultAuthorization.Rbac,
    };
    const users = Object.entries(args.users ?? {});
    const administrators = Object.entries(args.administrators ?? {});
    const options = { parent: this, protect: args.protectGrants ?? true };
    const granted = [
      ...users.flatMap(([user, who]) => {
        const childName = `${name}-${user}`;
        const principal = principalOf(childName, who, this);
        return [
          ...grant(childName, vault, principal, "Key Vault Crypto User", userPermissions, options),
          // Without these two Secrets stay readable; so they go with the setting that has asked for them.
          ...(args.connectPrivateEndpoints === true
            ? [assignRole(`${childName}-contributor`, vault.id, principal, "Key Vault Contributor", { parent: this })]
            : []),
          ...(args.readVault === true
            ? [assignRole(`${childName}-reader`, vault.id, principal, "Key Vault Reader", { parent: this })]
            : []),
        ];
      }),
      ...administrators.flatMap(([administrator, who]) => {
        const childName = `${name}-admin-${administrator}`;
        const principal = principalOf(childName, who, this);
        return grant(childName, vault, principal, "Key Vault Crypto Officer", administratorPermissions, options);
      }),
      ...(args.deployerAdministers === true ? grantDeployer(`${name}-deployer`, vault, options) : []),
    ];
    this.vaultId = pulumi.all([vault.id, pulumi.all(granted.map((resource) => resource.urn))]).apply(([id]) => id);
    this.registerOutputs({ vaultId: this.vaultId });
  }
}

interface GrantingVault {
  readonly id: pulumi.Output<string>;
  readonly authorization: VaultAuthorization;
}

/** Access to keys, as the vault grants it. */
function grant(
  name: string,
  vault: GrantingVault,
  principal: GrantedPrincipal,
  role: AzureRole,
  keyPermissions: readonly string[],
  options: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  if (vault.authorization === VaultAuthorization.Rbac) return [assignRole(name, vault.id, principal, role, options)];
  return [addAccessPolicy(name, vault.id, principal, keyPermissions, options)];
}

/** Client ids of the Azure CLI and Azure PowerShell: who comes with one of these is a person. */
const commandLineTools = ["04b07795-8ddb-461a-bbee-02f9e1bf7b46", "1950a258-227b-4e31-a9cf-717495945fc2"];

/** Whoever runs Pulumi next must not take the grant of the first one away. */
function grantDeployer(name: string, vault: GrantingVault, options: pulumi.CustomResourceOptions): pulumi.Resource[] {
  const { getClientConfig } = loadAzureNative();
  const client = pulumi.output(getClientConfig({ parent: options.parent as pulumi.Resource }));
  const kind = client.clientId.apply((id) => (commandLineTools.includes(id) ? "User" : "ServicePrincipal"));
  const deployer = { objectId: client.objectId, kind };
  return grant(name, vault, deployer, "Key Vault Crypto Officer", administratorPermissions, {
    ...options,
    ignoreChanges: ["principalId", "principalType", "roleAssignmentName", "policy"],
  });
}

function assignRole(
  name: string,
  vaultId: pulumi.Output<string>,
  principal: GrantedPrincipal,
  role: AzureRole,
  options: pulumi.CustomResourceOptions,
): pulumi.Resource {
  const { RoleAssignment } = loadAzureNative();
  return new RoleAssignment(
    name,
    {
      scope: vaultId,
      principalId: principal.objectId,
      // Without it the SDK says User; and Azure looks a principal up unless it is told, but a fresh identity is not everywhere yet.
      principalType: principal.kind,
      roleDefinitionId: vaultId.apply((id) => roleDefinitionId(vaultParts(id).subscriptionId, role)),
      roleAssignmentName: pulumi
        .all([vaultId, principal.objectId])
        .apply(([scope, objectId]) => roleAssignmentName(scope, objectId, role)),
    },
    options,
  );
}

function addAccessPolicy(
  name: string,
  vaultId: pulumi.Output<string>,
  principal: GrantedPrincipal,
  keys: readonly string[],
  options: pulumi.CustomResourceOptions,
): pulumi.Resource {
  const { AccessPolicy, getClientConfig } = loadAzureNative();
  const vault = vaultId.apply(vaultParts);
  return new AccessPolicy(
    name,
    {
      resourceGroupName: vault.resourceGroupName,
      vaultName: vault.vaultName,
      policy: {
        objectId: principal.objectId,
        // A vault's policies are for principals of its own tenant, which is the one that the program works in.
        tenantId: pulumi.output(getClientConfig({ parent: options.parent as pulumi.Resource })).tenantId,
        permissions: { keys: [...keys] },
      },
    },
    options,
  );
}

function provenVaultId(id: string): string {
  if (parseVaultId(id) !== undefined) return id;
  throw new pulumi.InputPropertyError({
    propertyPath: "vaultId",
    reason: `is ${JSON.stringify(id)}, which is no resource id of a vault; \`az keyvault show --name NAME --query id\` prints it`,
  });
}

/** The parts of an id that is proven. */
function vaultParts(id: string): VaultId {
  return parseVaultId(id) ?? { subscriptionId: "", resourceGroupName: "", vaultName: "" };
}

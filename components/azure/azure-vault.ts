/** The vault that a block names or wants to have made, with its grants and its private endpoint. */
import * as pulumi from "@pulumi/pulumi";
import { parseVaultId } from "../../core/azure-key-id";
import { makesKeys } from "../../core/azure-key-vault-block";
import { azureRules } from "../../core/azure-rules/azure-rules";
import { checkRules, violationOf } from "../../core/azure-rules/rule";
import { inputError } from "../input-error";
import { AzureKeyMonitoring } from "./azure-key-monitoring";
import type { AzureKeyVaultSourceArgs } from "./azure-key-vault-source";
import { loadAzureNative } from "./azure-native";
import { AzureVaultAccess } from "./azure-vault-access";
import { KeyAccess } from "./key-access";
import { AzureKeyType, VaultAuthorization, VaultNetworkAccess, VaultSku } from "./vault-choices";
import { VaultPrivateEndpoint } from "./vault-private-endpoint";

export interface AzureVault {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly vaultName: pulumi.Input<string>;
  /** Resource id of the vault, once everybody has the access that the block grants. */
  readonly grantedId: pulumi.Output<string>;
  /**
   * The vault's address, once the one who runs Pulumi may work with its keys there. Asked for by what changes keys: whoever only makes
   * them needs no way to that address.
   */
  readonly addressForAdministrators: () => pulumi.Output<string>;
  /** What else a cluster needs of it: grants, the private endpoint. */
  readonly parts: readonly pulumi.Resource[];
}

export interface AzureVaultOptions {
  readonly versions: readonly number[];
  readonly protect: boolean;
  /** Somebody else changes the vault's network access after it was made. */
  readonly leaveNetwork: boolean;
  readonly parent: pulumi.Resource;
}

/** The vault; undefined for a block of given keys only. `source` has no problems. */
export function azureVault(
  name: string,
  source: AzureKeyVaultSourceArgs,
  options: AzureVaultOptions,
): AzureVault | undefined {
  const { parent, protect } = options;
  const isMade = source.vaultId === undefined;
  if (isMade && source.resourceGroupName === undefined && !makesKeys({ ...source }, options.versions)) return undefined;
  const vault =
    source.vaultId === undefined ? madeVault(name, source, options) : foundVault(source.vaultId, source, parent);
  const access = new KeyAccess(
    name,
    {
      vaultId: vault.id,
      authorization: source.authorization ?? VaultAuthorization.Rbac,
      protectGrants: protect,
      deployerAdministers: isMade && source.keyAdministrators === undefined,
      ...(source.keyUsers === undefined ? {} : { users: source.keyUsers }),
      ...(source.keyAdministrators === undefined ? {} : { administrators: source.keyAdministrators }),
    },
    { parent },
  );
  const endpoint =
    source.privateEndpoint === undefined
      ? undefined
      : new VaultPrivateEndpoint(name, { vaultId: vault.id, settings: source.privateEndpoint }, { parent });
  if (source.monitoring !== undefined) {
    const { keyExpiry } = source;
    const settings = { settings: source.monitoring, ...(keyExpiry === undefined ? {} : { keyExpiry }) };
    new AzureKeyMonitoring(name, { vaultId: vault.id, ...settings }, { parent });
  }
  const parts = endpoint === undefined ? [access] : [access, endpoint];
  return {
    parts,
    resourceGroupName: vault.resourceGroupName,
    vaultName: vault.vaultName,
    grantedId: access.vaultId,
    addressForAdministrators: () =>
      new AzureVaultAccess(name, { vaultUri: vault.uri }, { parent, dependsOn: parts }).vaultUri,
  };
}

interface VaultParts {
  readonly resourceGroupName: pulumi.Input<string>;
  readonly vaultName: pulumi.Input<string>;
  readonly id: pulumi.Output<string>;
  readonly uri: pulumi.Output<string>;
}

function madeVault(name: string, source: AzureKeyVaultSourceArgs, options: AzureVaultOptions): VaultParts {
  const { parent, protect, leaveNetwork } = options;
  const { getClientConfig, Vault } = loadAzureNative();
  const isPrivate = source.vaultNetworkAccess === VaultNetworkAccess.Private;
  const needsHsm = source.key?.type === AzureKeyType.RsaHsm;
  const resourceGroupName = source.resourceGroupName ?? "";
  const vault = new Vault(
    `${name}-vault`,
    {
      resourceGroupName,
      ...(source.location === undefined ? {} : { location: source.location }),
      ...(source.vaultName === undefined ? {} : { vaultName: source.vaultName }),
      properties: {
        tenantId: pulumi.output(getClientConfig({ parent })).tenantId,
        sku: { family: "A", name: source.sku ?? (needsHsm ? VaultSku.Premium : VaultSku.Standard) },
        // Said outright: without it the SDK sends false.
        enableRbacAuthorization: source.authorization !== VaultAuthorization.AccessPolicies,
        enableSoftDelete: true,
        softDeleteRetentionInDays: source.softDeleteRetentionInDays ?? 90,
        enablePurgeProtection: true,
        publicNetworkAccess: isPrivate ? "Disabled" : "Enabled",
        // KMS data encryption of AKS reaches a private vault as a trusted service.
        networkAcls: { bypass: "AzureServices", defaultAction: isPrivate ? "Deny" : "Allow" },
      },
    },
    {
      parent,
      protect,
      ...(leaveNetwork ? { ignoreChanges: ["properties.publicNetworkAccess", "properties.networkAcls"] } : {}),
    },
  );
  void vault.azureApiVersion.apply((version) => warnOfOldApi(version, parent));
  return { resourceGroupName, vaultName: vault.name, id: vault.id, uri: vault.properties.vaultUri.apply(known) };
}

/** Rule H7. */
function warnOfOldApi(version: string | undefined, parent: pulumi.Resource): void {
  if (version === undefined) return;
  const { warnings } = checkRules(azureRules, { vaultApiVersion: version });
  for (const { reason, remedy, id } of warnings) {
    void pulumi.log.warn(`the version of Azure's API for vaults ${reason}; ${remedy} (rule ${id})`, parent);
  }
}

/** A vault that exists is looked at, in previews too, and never changed. */
function foundVault(
  vaultId: pulumi.Input<string>,
  source: AzureKeyVaultSourceArgs,
  parent: pulumi.Resource,
): VaultParts {
  const { getClientConfig, getVault } = loadAzureNative();
  const id = pulumi.output(vaultId);
  const found = id.apply(async (text) => {
    const parts = parseVaultId(text);
    // What is no resource id at all was refused when it was known at once; this is for one that became known later.
    if (parts === undefined)
      throw refused([`vaultId`, `is ${JSON.stringify(text)}, which is no resource id of a vault`]);
    const { subscriptionId } = await getClientConfig({ parent });
    if (parts.subscriptionId.toLowerCase() !== subscriptionId.toLowerCase()) {
      const remedy = "give the component an azure-native provider for that subscription";
      throw refused([
        "vaultId",
        `is in the subscription ${parts.subscriptionId}, but this program works in ${subscriptionId}; ${remedy}`,
      ]);
    }
    const vault = await getVault(
      { resourceGroupName: parts.resourceGroupName, vaultName: parts.vaultName },
      { parent },
    );
    await refuseUnfit(vault, source, parent);
    return { ...parts, uri: known(vault.properties.vaultUri) };
  });
  return {
    resourceGroupName: found.resourceGroupName,
    vaultName: found.vaultName,
    id: pulumi.all([id, found]).apply(([text]) => text),
    uri: found.uri,
  };
}

type FoundVault = Awaited<ReturnType<ReturnType<typeof loadAzureNative>["getVault"]>>;

/** A vault that exists must be what the block says it is, and must not lose keys. */
async function refuseUnfit(
  { id, properties }: FoundVault,
  source: AzureKeyVaultSourceArgs,
  parent: pulumi.Resource,
): Promise<void> {
  const authorization =
    properties.enableRbacAuthorization === true ? VaultAuthorization.Rbac : VaultAuthorization.AccessPolicies;
  if (authorization !== (source.authorization ?? VaultAuthorization.Rbac)) {
    throw refused(["authorization", `is not what the vault does: it grants access by ${authorization}; write that`]);
  }
  const { errors, warnings } = checkRules(
    azureRules,
    {
      vaultIsNew: false,
      keyVaultResourceId: id,
      purgeProtection: properties.enablePurgeProtection === true,
      vaultNetworkAccess: source.vaultNetworkAccess ?? VaultNetworkAccess.Public,
      ...(properties.publicNetworkAccess === undefined
        ? {}
        : { vaultPublicNetworkAccess: properties.publicNetworkAccess }),
      ...(properties.softDeleteRetentionInDays === undefined
        ? {}
        : { softDeleteRetentionInDays: properties.softDeleteRetentionInDays }),
      ...(source.key?.type === undefined ? {} : { keyType: source.key.type, vaultSku: properties.sku.name }),
    },
    { purgeProtection: "vaultId", softDeleteRetentionInDays: "vaultId", keyType: "key.type" },
  );
  for (const { path, reason, remedy, id } of warnings) {
    await pulumi.log.warn(`${path}: ${reason}; ${remedy} (rule ${id})`, parent);
  }
  if (errors.length > 0) throw inputError("azureKeyVault", errors.map(violationOf));
}

function refused([path, reason]: readonly [string, string]): Error {
  return inputError("azureKeyVault", [{ path, reason }]);
}

function known(vaultUri: string | undefined): string {
  if (vaultUri !== undefined) return vaultUri;
  throw new Error("the vault has no address");
}

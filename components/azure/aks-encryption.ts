/** What KmsEtcdEncryption is made of for a cluster of AKS: keys, the cluster's access to them, and its KMS settings. */
import * as pulumi from "@pulumi/pulumi";
import { aksBlockViolations, besideAksViolations } from "../../core/aks-block";
import { AksEncryptionMode } from "../../core/aks-encryption-mode";
import { azureRules } from "../../core/azure-rules/azure-rules";
import { checkRules } from "../../core/azure-rules/rule";
import { declaredVersions, type InputViolation, keyVersionRange, keyVersionViolations } from "../../core/input-rules";
import { isKnownLater } from "../known-later";
import type { ReportSigningArgs } from "../report-signing";
import { AksKmsSettings, type AksKmsSettingsArgs } from "./aks-kms-settings";
import type { AksPlatformArgs } from "./aks-platform";
import { azureKeyVaultCheck } from "./azure-key-vault-check";
import { AzureKeyVaultKey } from "./azure-key-vault-key";
import type { AzureKeyVaultSourceArgs } from "./azure-key-vault-source";
import { KeyAccess } from "./key-access";
import { VaultAuthorization, VaultNetworkAccess } from "./vault-choices";

/** The inputs of the component that matter here. */
export interface AksEncryptionArgs {
  readonly aks: AksPlatformArgs;
  readonly azureKeyVault?: AzureKeyVaultSourceArgs;
  readonly keyVersion?: number;
  readonly oldestKeyVersion?: number;
  readonly newestKeyVersion?: number;
  readonly enabled?: boolean;
  readonly protectKeys?: boolean;
  readonly reportSigning?: pulumi.Input<ReportSigningArgs>;
}

/** Inputs without problems. Names of children are identity: never change how they are made. */
export function aksEncryption(name: string, args: AksEncryptionArgs, parent: pulumi.Resource): AksKmsSettings {
  const { aks, azureKeyVault: source } = args;
  const mode = aks.mode ?? AksEncryptionMode.KmsPlugin;
  const common: AksKmsSettingsArgs = {
    clusterId: aks.clusterId,
    mode,
    enabled: args.enabled ?? true,
    ...(aks.identityId === undefined ? {} : { identityId: aks.identityId }),
    ...(aks.kubernetes === undefined ? {} : { kubernetes: aks.kubernetes }),
    ...(aks.limits === undefined ? {} : { limits: aks.limits }),
    ...(args.reportSigning === undefined ? {} : { reportSigning: args.reportSigning }),
  };
  if (source === undefined) return new AksKmsSettings(name, common, { parent });
  const protect = args.protectKeys ?? true;
  warnOfEndpoint(mode, source, parent);
  const range = keyVersionRange(withVersions(args, mode));
  const makesVault = vaultOf(source) === "made";
  const keys = new AzureKeyVaultKey(
    name,
    {
      source,
      newestKeyVersion: range.newest,
      oldestKeyVersion: range.oldest,
      protectKeys: protect,
      ...(makesVault ? { leaveVaultNetwork: true } : {}),
    },
    { parent },
  );
  const vaultNetworkAccess = source.vaultNetworkAccess ?? VaultNetworkAccess.Public;
  const access =
    aks.identityId === undefined
      ? undefined
      : new KeyAccess(
          `${name}-aks`,
          {
            vaultId: keys.vaultId.apply((id) => id ?? ""),
            authorization: source.authorization ?? VaultAuthorization.Rbac,
            users: { cluster: { identityId: aks.identityId } },
            connectPrivateEndpoints: vaultNetworkAccess === VaultNetworkAccess.Private,
            readVault: mode === AksEncryptionMode.CustomerManagedKey,
            protectGrants: protect,
          },
          { parent },
        );
  return new AksKmsSettings(
    name,
    {
      ...common,
      // By property and not by `apply`, which in a preview would wait for the keys that are yet to be made.
      keyId: keys.keyIds[String(range.active)] ?? pulumi.output(""),
      ...(mode === AksEncryptionMode.KmsPlugin ? { keyVersion: range.active } : {}),
      vaultNetworkAccess,
      ...vaultInputs(aks, source, keys),
    },
    { parent, dependsOn: access === undefined ? [keys] : [keys, access] },
  );
}

/** Of the vault that has the key: the block's, whose grants and network are decided here, or another one. */
function vaultInputs(
  { vaultId }: AksPlatformArgs,
  source: AzureKeyVaultSourceArgs,
  keys: AzureKeyVaultKey,
): Pick<AksKmsSettingsArgs, "vaultId" | "ownsVaultNetwork" | "authorization"> {
  if (vaultId !== undefined) return { vaultId, ownsVaultNetwork: false };
  if (vaultOf(source) === "none") return { ownsVaultNetwork: false };
  return {
    vaultId: keys.vaultId.apply((id) => id ?? ""),
    ownsVaultNetwork: vaultOf(source) === "made",
    authorization: source.authorization ?? VaultAuthorization.Rbac,
  };
}

/** Rule F6: AKS would not use the endpoint, though clients of the user's own may. */
function warnOfEndpoint(mode: AksEncryptionMode, source: AzureKeyVaultSourceArgs, parent: pulumi.Resource): void {
  const facts = {
    mode: mode === AksEncryptionMode.CustomerManagedKey ? ("cmk" as const) : ("legacy" as const),
    wantsPrivateEndpoint: source.privateEndpoint !== undefined,
  };
  const rules = azureRules.filter(({ id }) => id === "F6");
  const { warnings } = checkRules(rules, facts, { wantsPrivateEndpoint: "azureKeyVault.privateEndpoint" });
  for (const { path, reason, remedy, id } of warnings) {
    void pulumi.log.warn(`${path} ${reason}; ${remedy} (rule ${id})`, parent);
  }
}

/** Everything that is wrong with the component's inputs beside those that nobody knows, and that there is one cluster. */
export function aksEncryptionViolations(
  name: string,
  inputs: Readonly<Record<string, unknown>>,
): readonly InputViolation[] {
  const block = recordIn(inputs["aks"]);
  if (block === undefined) return [{ path: "aks", reason: "is not an object; write { clusterId }" }];
  const mode = Object.values(AksEncryptionMode).find((known) => known === block["mode"]) ?? AksEncryptionMode.KmsPlugin;
  const found = [...aksBlockViolations("aks", block, isKnownLater), ...besideAksViolations(inputs, mode)];
  if (mode === AksEncryptionMode.PlatformManagedKey) return found;
  const { keyVersion, oldestKeyVersion, newestKeyVersion } = inputs;
  const versions =
    mode === AksEncryptionMode.KmsPlugin
      ? keyVersionViolations({ keyVersion, oldestKeyVersion, newestKeyVersion })
      : [];
  const source = recordIn(inputs["azureKeyVault"]);
  if (source === undefined) {
    const reason = "is missing: no key is named, and the keys of AKS are in Azure Key Vault; give it";
    return [...found, ...versions, { path: "azureKeyVault", reason }];
  }
  if (found.length + versions.length > 0) return [...found, ...versions];
  const declared = declaredVersions(keyVersionRange(withVersions(inputs, mode)));
  const ungrantable =
    block["identityId"] !== undefined && vaultOf(source) === "none"
      ? [
          {
            path: "aks.identityId",
            reason: "is granted the keys' use in a vault, and none is named; give azureKeyVault.vaultId",
          },
        ]
      : [];
  return [...azureKeyVaultCheck("azureKeyVault", source, name, declared).violations, ...ungrantable];
}

/** KMS data encryption has one key, whose versions are the platform's. */
function withVersions(
  inputs: { readonly keyVersion?: unknown; readonly oldestKeyVersion?: unknown; readonly newestKeyVersion?: unknown },
  mode: AksEncryptionMode,
): { readonly keyVersion: unknown; readonly oldestKeyVersion?: unknown; readonly newestKeyVersion?: unknown } {
  if (mode !== AksEncryptionMode.KmsPlugin) return { keyVersion: 1 };
  const { keyVersion, oldestKeyVersion, newestKeyVersion } = inputs;
  return { keyVersion, oldestKeyVersion, newestKeyVersion };
}

/** Whether the block's vault exists, is made, or is not named because every key is given. */
function vaultOf(source: {
  readonly vaultId?: unknown;
  readonly resourceGroupName?: unknown;
}): "given" | "made" | "none" {
  if (source.vaultId !== undefined) return "given";
  return source.resourceGroupName === undefined ? "none" : "made";
}

function recordIn(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

/** The keys of all declared versions in Azure Key Vault, with the vault, and with who may use them. */
import * as pulumi from "@pulumi/pulumi";
import { keyVaultBlockInputs } from "../../core/azure-key-vault-block";
import { declaredVersions, type InputViolation, keyVersionRange } from "../../core/input-rules";
import { keyResourceHead } from "../../core/key-resource-inputs";
import { typeTokens } from "../../core/type-tokens";
import { inputError } from "../input-error";
import { type AzureKeyVaultCheck, azureKeyVaultCheck } from "./azure-key-vault-check";
import type { AzureKeyVaultSourceArgs } from "./azure-key-vault-source";
import { type AzureKeyVersion, azureKeyVersions } from "./azure-keys";
import { azureVault } from "./azure-vault";

/** The inputs of an AzureKeyVaultKey. */
export interface AzureKeyVaultKeyArgs {
  /** Which vault and which keys. */
  readonly source: AzureKeyVaultSourceArgs;
  /**
   * The newest version that has a key.
   * @integer
   */
  readonly newestKeyVersion: number;
  /**
   * The oldest version that has a key. Keys of older versions are let go of, never deleted.
   * @default 1
   * @integer
   */
  readonly oldestKeyVersion?: number;
  /**
   * Versions whose keys are disabled. With a list, even an empty one, every declared version's key is enabled or disabled by it; without one
   * keys are left as they are. Nothing may need a disabled key any more, backups included.
   */
  readonly retireKeyVersions?: number[];
  /**
   * Keep Pulumi from deleting the vault and its grants by mistake. Keys are never deleted.
   * @default true
   */
  readonly protectKeys?: boolean;
  /**
   * Learn when the keys were made that were not made here, for a limit on their age. It takes the key permission get in their vault.
   * @default false
   */
  readonly trackKeyAge?: boolean;
  /**
   * Leave the network access of a vault that was made as it is, because an AksKmsSettings changes it: at its own time, when the cluster has let
   * go of the vault.
   * @default false
   */
  readonly leaveVaultNetwork?: boolean;
}

const inputNames = [
  "source",
  "newestKeyVersion",
  "oldestKeyVersion",
  "retireKeyVersions",
  "protectKeys",
  "trackKeyAge",
  "leaveVaultNetwork",
];

/** A key in Azure Key Vault for each version, the vault that they are in, and the grants to use them. */
export class AzureKeyVaultKey extends pulumi.ComponentResource {
  /** Identifiers of the versions' keys, by version. */
  readonly keyIds: pulumi.Output<Record<string, string>>;
  /** When the versions' keys were made (ISO 8601), by version; empty texts where nobody has looked. */
  readonly createdAt: pulumi.Output<Record<string, string>>;
  /** Resource id of the vault; absent where every key is given and no vault is named. */
  readonly vaultId: pulumi.Output<string | undefined>;

  constructor(name: string, args: AzureKeyVaultKeyArgs, opts?: pulumi.ComponentResourceOptions) {
    const check = azureKeyVaultKeyCheck(name, args as unknown as Readonly<Record<string, unknown>>);
    if (check.violations.length > 0) throw inputError("AzureKeyVaultKey", check.violations);
    super(typeTokens.azureKeyVaultKey, name, args, opts);
    for (const message of check.messages) void pulumi.log.warn(message, this);
    const versions = versionsOf(args);
    const protect = args.protectKeys ?? true;
    const leaveNetwork = args.leaveVaultNetwork ?? false;
    const vault = azureVault(name, args.source, { versions, protect, leaveNetwork, parent: this });
    const keys = azureKeyVersions(name, args.source, vault, {
      versions,
      retired: args.retireKeyVersions,
      trackAge: args.trackKeyAge ?? false,
      parent: this,
    });
    this.keyIds = pulumi.output(valuesOf(keys, "keyId"));
    this.createdAt = pulumi.output(valuesOf(keys, "createdAt"));
    guardKeys(name, this.keyIds, { parent: this, protect, dependsOn: [...(vault?.parts ?? [])] });
    this.vaultId = pulumi.output(vault?.grantedId);
    this.registerOutputs({ keyIds: this.keyIds, createdAt: this.createdAt, vaultId: this.vaultId });
  }
}

/**
 * Resources go in the reverse order of how they depend on each other: a `destroy` that is refused at the protected vault would have let go
 * of the keys and of the private endpoint by then. This one depends on them all, so it is what refuses.
 */
function guardKeys(
  name: string,
  keyIds: pulumi.Output<Record<string, string>>,
  options: pulumi.CustomResourceOptions,
): void {
  new pulumi.Stash(`${name}-guard`, { input: keyIds }, options);
}

function valuesOf(
  keys: Readonly<Record<string, AzureKeyVersion>>,
  name: keyof AzureKeyVersion,
): Record<string, pulumi.Output<string>> {
  return Object.fromEntries(Object.entries(keys).map(([version, key]) => [version, key[name]]));
}

function versionsOf(args: AzureKeyVaultKeyArgs): readonly number[] {
  return declaredVersions(keyVersionRange({ ...args, keyVersion: args.newestKeyVersion }));
}

/** Everything that is wrong with the inputs, and what has to be said about them. */
function azureKeyVaultKeyCheck(name: string, inputs: Readonly<Record<string, unknown>>): AzureKeyVaultCheck {
  const head = keyResourceHead(inputs, inputNames, keyVaultBlockInputs);
  if (head.violations !== undefined) return { violations: head.violations, messages: [] };
  const { source, declared } = head;
  const check = azureKeyVaultCheck("source", source, name, declared);
  const retired = retiredViolations(inputs["retireKeyVersions"], declared);
  return { violations: [...check.violations, ...retired], messages: check.messages };
}

function retiredViolations(retired: unknown, declared: readonly number[]): readonly InputViolation[] {
  if (retired === undefined) return [];
  if (!Array.isArray(retired)) return [{ path: "retireKeyVersions", reason: "is not a list of versions" }];
  return retired.flatMap((version: unknown, index) =>
    typeof version === "number" && declared.includes(version)
      ? []
      : [
          {
            path: `retireKeyVersions[${index}]`,
            reason: `is ${JSON.stringify(version)}, which is no declared version; declared are ${declared.join(", ")}`,
          },
        ],
  );
}

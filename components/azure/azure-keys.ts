/** One key a version: made in the vault, or given. */
import * as pulumi from "@pulumi/pulumi";
import { keyIdProblem } from "../../core/azure-key-vault-block";
import { azureRules } from "../../core/azure-rules/azure-rules";
import { checkRules } from "../../core/azure-rules/rule";
import { AzureKeyAttributes } from "./azure-key-attributes";
import type { AzureKeyVaultSourceArgs } from "./azure-key-vault-source";
import { loadAzureNative } from "./azure-native";
import type { AzureVault } from "./azure-vault";
import { AzureKeyType } from "./vault-choices";

export interface AzureKeysOptions {
  readonly versions: readonly number[];
  /** Versions to disable; undefined leaves all as they are. */
  readonly retired: readonly number[] | undefined;
  /** Whether to learn when given keys were made; it takes a look into their vault. */
  readonly trackAge: boolean;
  readonly parent: pulumi.Resource;
}

/** One version's key. */
export interface AzureKeyVersion {
  readonly keyId: pulumi.Output<string>;
  /** When it was made (ISO 8601); an empty text where nobody has looked. */
  readonly createdAt: pulumi.Output<string>;
}

/** The keys, by version. `vault` is there unless every key is given and nothing is granted. */
export function azureKeyVersions(
  name: string,
  source: AzureKeyVaultSourceArgs,
  vault: AzureVault | undefined,
  options: AzureKeysOptions,
): Record<string, AzureKeyVersion> {
  let ready: pulumi.Output<string> | undefined;
  const entries = options.versions.map((version) => {
    const given = source.keyIds?.[String(version)];
    const key =
      given === undefined
        ? madeKey(name, version, source, vault, options.parent)
        : { keyId: provenKeyId(given, version), createdAt: pulumi.output("") };
    const { keyId } = key;
    const looksAtAge = options.trackAge && given !== undefined;
    const expiresOn = source.keyExpiry?.[String(version)];
    if (options.retired === undefined && expiresOn === undefined && !looksAtAge) return [String(version), key] as const;
    ready ??= vault?.addressForAdministrators();
    const attributes = new AzureKeyAttributes(
      `${name}-key-v${version}`,
      {
        // Not before the vault lets us: its address is known when it has answered.
        keyId: ready === undefined ? keyId : pulumi.all([keyId, ready]).apply(([id]) => id),
        ...(options.retired === undefined ? {} : { enabled: !options.retired.includes(version) }),
        ...(expiresOn === undefined ? {} : { expiresOn }),
      },
      { parent: options.parent },
    );
    // Whoever uses the key waits until it is enabled.
    const createdAt = given === undefined ? key.createdAt : attributes.createdAt.apply((time) => time ?? "");
    return [String(version), { keyId: attributes.keyId, createdAt }] as const;
  });
  return Object.fromEntries(entries);
}

function madeKey(
  name: string,
  version: number,
  source: AzureKeyVaultSourceArgs,
  vault: AzureVault | undefined,
  parent: pulumi.Resource,
): AzureKeyVersion {
  if (vault === undefined) throw new Error(`version ${version} has neither a key nor a vault to make it in`);
  const { Key } = loadAzureNative();
  const key = new Key(
    `${name}-key-v${version}`,
    {
      resourceGroupName: vault.resourceGroupName,
      vaultName: vault.vaultName,
      keyName: `${source.keyName ?? "etcd"}-v${version}`,
      properties: {
        kty: source.key?.type ?? AzureKeyType.Rsa,
        keySize: source.key?.size ?? 2048,
        keyOps: ["encrypt", "decrypt"],
        // No rotation policy: a version that the vault makes by itself is one that nothing would rewrite Secrets for.
        attributes: { enabled: true },
      },
    },
    {
      parent,
      // A key that data or a backup may need is never deleted with its resource; the vault's own deletion can be undone for days.
      retainOnDelete: true,
      // Azure ignores changes to a key without a word, so a changed setting is for keys that are made from now on.
      ignoreChanges: ["properties"],
    },
  );
  void pulumi
    .all([key.kty, key.keySize])
    .apply(([type, size]) => warnOfOtherSettings(version, source, { type, size }, parent));
  const createdAt = key.attributes.apply((attributes) =>
    // Key Vault counts in seconds.
    attributes?.created === undefined ? "" : new Date(attributes.created * 1_000).toISOString(),
  );
  return { keyId: key.keyUriWithVersion, createdAt };
}

/** Rule G10, as a warning: settings of new keys are for those that are made from now on. */
function warnOfOtherSettings(
  version: number,
  { key = {} }: AzureKeyVaultSourceArgs,
  made: { readonly type: string | undefined; readonly size: number | undefined },
  parent: pulumi.Resource,
): void {
  const wanted = { type: key.type ?? AzureKeyType.Rsa, size: key.size ?? 2048 };
  const changed = (["type", "size"] as const).filter((name) => made[name] !== undefined && made[name] !== wanted[name]);
  const { errors } = checkRules(azureRules, { changedKeySettings: changed }, { changedKeySettings: "key" });
  for (const { path, reason, remedy, id } of errors) {
    void pulumi.log.warn(`${path}: the settings of version ${version} ${reason}; ${remedy} (rule ${id})`, parent);
  }
}

function provenKeyId(keyId: pulumi.Input<string>, version: number): pulumi.Output<string> {
  return pulumi.output(keyId).apply((known) => {
    const reason = keyIdProblem(known);
    if (reason === undefined) return known;
    throw new pulumi.InputPropertyError({ propertyPath: `keyIds.${version}`, reason });
  });
}

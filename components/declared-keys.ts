/** Makes or names one key for each declared version, whatever cloud it lives in. */
import * as pulumi from "@pulumi/pulumi";
import { versionedAzureKeyId } from "../core/azure-key-id";
import { declaredVersions, type KeyVersionRange } from "../core/input-rules";
import { AwsKmsKey } from "./aws/aws-kms-key";
import type { AwsKmsSourceArgs } from "./aws/aws-kms-source";
import { AzureKeyVaultKey } from "./azure/azure-key-vault-key";
import type { AzureKeyVaultSourceArgs } from "./azure/azure-key-vault-source";
import type { DeclaredKeyArgs } from "./encryption-rollout";
import { LocalKey } from "./local-key";
import type { LocalKeySourceArgs } from "./local-key-source";

/** What all key blocks have in common. */
export interface DeclaredKeysOptions {
  /** The component's name; children are named after it, and these names are identity: never change them. */
  readonly name: string;
  readonly parent: pulumi.Resource;
  readonly range: KeyVersionRange;
  /** Whether Pulumi is kept from deleting what keys need. */
  readonly protect: boolean;
  /** Whether there may be a limit on the keys' age. */
  readonly trackAge: boolean;
}

/** The keys, and what has to be there before a cluster uses them: grants, for example. */
export interface DeclaredKeys {
  readonly keys: DeclaredKeyArgs[];
  readonly dependsOn: pulumi.Resource[];
}

/** The blocks that say where a key lives. Inputs without violations have exactly one of them. */
export interface KeyBlocks {
  readonly azureKeyVault?: AzureKeyVaultSourceArgs;
  readonly awsKms?: AwsKmsSourceArgs;
  readonly localKey?: LocalKeySourceArgs;
}

/** The keys of the block that is given. */
export function declaredKeys(blocks: KeyBlocks, options: DeclaredKeysOptions): DeclaredKeys {
  if (blocks.azureKeyVault !== undefined) return azureKeys(blocks.azureKeyVault, options);
  if (blocks.awsKms !== undefined) return awsKeys(blocks.awsKms, options);
  return { keys: blocks.localKey === undefined ? [] : localKeys(blocks.localKey, options), dependsOn: [] };
}

function azureKeys(source: AzureKeyVaultSourceArgs, options: DeclaredKeysOptions): DeclaredKeys {
  const { name, parent, range, trackAge } = options;
  const made = new AzureKeyVaultKey(name, { source, ...versionArgs(options) }, { parent });
  const keys = declaredVersions(range).map((version) => {
    // By property and not by `apply`, which in a preview would wait for the keys that are yet to be made.
    const keyId = made.keyIds[String(version)] ?? pulumi.output("");
    const key = keyId.apply(versionedAzureKeyId);
    const createdAt = made.createdAt[String(version)] ?? pulumi.output("");
    return {
      version,
      ...(trackAge ? { createdAt } : {}),
      azure: { vaultName: key.vaultName, keyName: key.keyName, keyVersion: key.keyVersion },
    };
  });
  return { keys, dependsOn: [made] };
}

function awsKeys(source: AwsKmsSourceArgs, options: DeclaredKeysOptions): DeclaredKeys {
  const { name, parent, range, trackAge } = options;
  const made = new AwsKmsKey(name, { source, ...versionArgs(options) }, { parent });
  const { encryptionContext } = source;
  const keys = declaredVersions(range).map((version) => {
    const keyArn = made.keyArns[String(version)] ?? pulumi.output("");
    const createdAt = made.createdAt[String(version)] ?? pulumi.output("");
    return {
      version,
      ...(trackAge ? { createdAt } : {}),
      aws: { keyArn, ...(encryptionContext === undefined ? {} : { encryptionContext }) },
    };
  });
  return { keys, dependsOn: [made] };
}

/** What the keys of every cloud are told. */
function versionArgs({ range, protect, trackAge }: DeclaredKeysOptions) {
  return {
    newestKeyVersion: range.newest,
    oldestKeyVersion: range.oldest,
    protectKeys: protect,
    trackKeyAge: trackAge,
  };
}

/**
 * One LocalKey a version. The file is never deleted with the resource, so a mistake can't lose a key; protecting the resource
 * too would only keep a version from being undeclared.
 */
function localKeys(source: LocalKeySourceArgs, options: DeclaredKeysOptions): DeclaredKeyArgs[] {
  return declaredVersions(options.range).map((version) => {
    const key = new LocalKey(
      `${options.name}-key-v${version}`,
      { file: pulumi.interpolate`${source.directory}/key-v${version}` },
      { parent: options.parent, retainOnDelete: true },
    );
    return { version, createdAt: key.createdAt, local: { file: key.file, keyId: key.keyId } };
  });
}

/**
 * Key Vaults and AWS KMS keys for real clusters: the fakes on the wire, and the settings by which plugins in processes of their
 * own find them. All of these are what a user could set: proxy, certificate authority, metadata service, KMS endpoint.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AwsKeyReference, AzureKeyReference } from "../../../core/key-reference";
import type { PluginSettingsByKind } from "../../../core/plugin-settings";
import { startKmsFake } from "../../fakes/aws/kms-fake";
import { type FakeKey } from "../../fakes/aws/kms-keys";
import { startMetadataFake } from "../../fakes/aws/metadata-fake";
import { startFakeAzure } from "../../fakes/azure/azure-cloud";
import type { Faults } from "../../fakes/azure/faults";
import type { FakeVault } from "../../fakes/azure/key-vault";
import type { VaultKeyVersion } from "../../fakes/azure/vault-keys";

export interface CloudKeys {
  /** How plugins on this machine find both clouds. */
  pluginSettings(): Promise<PluginSettingsByKind>;
  /** The part of them that the plugin block of a self-managed cluster has for keys in Azure. */
  azureHosts(): Promise<{ readonly azureConfigFile: string; readonly environment: Readonly<Record<string, string>> }>;
  /** Makes the vault and the key where they are missing. */
  azureKey(vault: string, key: string): AzureKeyReference;
  vaultKey(vault: string, key: string): VaultKeyVersion;
  /** What Azure does on a bad day, for all of its vaults. */
  readonly vaultFaults: Faults;
  /** The environment of a person at a terminal who may read and change keys of these vaults. */
  administrator(): Promise<Readonly<Record<string, string>>>;
  /** `alias` is pointed at it. */
  awsKey(alias?: string): { readonly reference: AwsKeyReference; readonly key: FakeKey };
  close(): Promise<void>;
}

const region = "eu-west-1";

export async function cloudKeys(): Promise<CloudKeys> {
  const directory = await mkdtemp(join(tmpdir(), "cloud-keys-"));
  const azure = await startFakeAzure();
  const kms = await startKmsFake({ region });
  const instance = {
    accessKeyId: "ASIAFAKEFAKEFAKEFAKE",
    secretAccessKey: "fake/instance/secret",
    sessionToken: "fake-token",
  };
  kms.accessKeys.set(instance.accessKeyId, instance);
  const metadata = await startMetadataFake(() => instance, region);
  const vaults = new Map<string, FakeVault>();
  const identity = azure.metadata.assign({ systemAssigned: true });
  const administrator = azure.entra.addApplication({ tenantId: identity.tenantId, secret: randomUUID() });

  function vaultOf(name: string): FakeVault {
    const known = vaults.get(name);
    if (known !== undefined) return known;
    const vault = azure.addVault(name, { tenantId: identity.tenantId });
    vault.grant(identity.objectId, "encrypt", "decrypt");
    vault.grant(administrator.objectId, "get", "update");
    vaults.set(name, vault);
    return vault;
  }
  const vaultKey = (vault: string, name: string) =>
    vaultOf(vault).keys.find(name, "") ?? vaultOf(vault).keys.add({ name });

  async function azureHosts() {
    const azureConfigFile = join(directory, "azure.json");
    await writeFile(azureConfigFile, JSON.stringify({ useManagedIdentityExtension: true, userAssignedIdentityID: "" }));
    return { azureConfigFile, environment: await azure.processEnvironment(directory) };
  }

  return {
    vaultKey,
    azureKey: (vault, key) => {
      const { version } = vaultKey(vault, key);
      return { kind: "azure", vaultName: vault, keyName: key, keyVersion: version };
    },
    awsKey: (alias) => {
      const key = kms.keys.add(alias === undefined ? {} : { alias });
      return { key, reference: { kind: "aws", keyArn: key.arn, region, encryptionContext: { cluster: "e2e" } } };
    },
    azureHosts,
    vaultFaults: azure.faults,
    administrator: async () => ({
      ...(await azure.processEnvironment(directory)),
      AZURE_TENANT_ID: administrator.tenantId,
      AZURE_CLIENT_ID: administrator.clientId,
      AZURE_CLIENT_SECRET: administrator.secret ?? "",
    }),
    async pluginSettings() {
      const { azureConfigFile, environment } = await azureHosts();
      return {
        azure: { arguments: [`--config-file-path=${azureConfigFile}`, "--probe-interval=2s"], environment },
        aws: {
          arguments: [`--kms-endpoint=${kms.url}`, "--probe-interval=2s"],
          environment: { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.url },
        },
      };
    },
    async close() {
      await Promise.all([azure.close(), kms.close(), metadata.close()]);
      await rm(directory, { recursive: true });
    },
  };
}

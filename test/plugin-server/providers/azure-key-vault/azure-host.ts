/** A control-plane host for these tests: a fake Azure with a vault, an identity that may use it, and an azure.json. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AzurePluginConfig } from "../../../../plugin-server/config/azure";
import type { CallContext, KeyProvider } from "../../../../plugin-server/key-provider";
import { createAzureKeyVaultProvider } from "../../../../plugin-server/providers/azure-key-vault";
import { type FakeAzure, startFakeAzure } from "../../../fakes/azure/azure-cloud";
import type { FakeVault } from "../../../fakes/azure/key-vault";
import type { ManagedIdentity } from "../../../fakes/azure/metadata-service";
import type { VaultKeyVersion } from "../../../fakes/azure/vault-keys";
import { writtenKeys } from "./kubernetes-kms-values";

const readyKey = writtenKeys[0]?.privateKeyPem;

export interface AzureHost {
  readonly azure: FakeAzure;
  readonly vault: FakeVault;
  readonly key: VaultKeyVersion;
  /** May encrypt and decrypt in the vault; azure.json names it until a test writes another. */
  readonly identity: ManagedIdentity;
  readonly directory: string;
  readonly azureJsonFile: string;
  writeAzureJson(content: unknown): Promise<void>;
  config(changes?: Partial<AzurePluginConfig>): AzurePluginConfig;
  /** A provider that is open; it is closed with the host. */
  open(changes?: Partial<AzurePluginConfig>, environment?: NodeJS.ProcessEnv): Promise<KeyProvider>;
  close(): Promise<void>;
}

export async function startAzureHost(): Promise<AzureHost> {
  const azure = await startFakeAzure();
  const directory = await mkdtemp(join(tmpdir(), "azure-key-vault-"));
  const azureJsonFile = join(directory, "azure.json");
  const vault = azure.addVault("myvault");
  // A ready key, because making one takes longer than most tests.
  const key = vault.keys.add({ name: "mykey", ...(readyKey === undefined ? {} : { privateKeyPem: readyKey }) });
  const identity = azure.metadata.assign({ tenantId: vault.tenantId, systemAssigned: true });
  vault.grant(identity.objectId, "encrypt", "decrypt");
  const opened: KeyProvider[] = [];

  const host: AzureHost = {
    azure,
    vault,
    key,
    identity,
    directory,
    azureJsonFile,
    writeAzureJson: (content) => writeFile(azureJsonFile, JSON.stringify(content), { mode: 0o600 }),
    config: (changes = {}) => ({ ...azureConfig(azureJsonFile, key), ...changes }),
    async open(changes = {}, environment = {}) {
      const provider = createAzureKeyVaultProvider(host.config(changes), { connect: azure.connect, environment });
      await provider.open(AbortSignal.timeout(2_000));
      opened.push(provider);
      return provider;
    },
    async close() {
      for (const provider of opened) await provider.close();
      await azure.close();
      await rm(directory, { recursive: true });
    },
  };
  await host.writeAzureJson({ useManagedIdentityExtension: true, userAssignedIdentityID: "" });
  return host;
}

/** What the command line `azure --keyvault-name=myvault ...` gives. */
export function azureConfig(
  credentialsFile: string,
  key: { readonly name: string; readonly version: string },
): AzurePluginConfig {
  return {
    kind: "azure",
    vaultName: "myvault",
    keyName: key.name,
    keyVersion: key.version,
    managedHsm: false,
    credentialsFile,
    proxy: undefined,
    operation: {
      sockets: ["/run/unused.socket"],
      health: undefined,
      healthzPath: "/healthz",
      livezPath: "/livez",
      healthzTimeoutMs: 20_000,
      metrics: "none",
      log: { format: "json", level: "info" },
      callTimeoutMs: 2_500,
      drainTimeoutMs: 5_000,
      probeIntervalMs: 30_000,
    },
  };
}

/** As the plugin server calls: with a limit of its own that lies above the provider's. */
export function callContext(kms: "v1" | "v2" = "v2"): CallContext {
  return { kms, uid: "test", signal: AbortSignal.timeout(2_900) };
}

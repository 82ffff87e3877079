/**
 * Port: the control plane behind a managed cluster, as far as the KMS settings reach it. AKS runs the plugin with the key that
 * is set and with the one before; what runs here is what `KmsClusters` was given, in memory unless a test brings API servers.
 */

export interface KmsKey {
  /** With a version in the legacy mode, without one where the platform rotates. */
  readonly keyId: string;
  readonly networkAccess: "Public" | "Private";
  /** What the plugin calls Key Vault as. */
  readonly identity: { readonly principalId: string; readonly clientId: string; readonly tenantId: string };
}

/** A part of the window: a key, or `identity` where KMS is off. */
export type KmsWriter = KmsKey | "identity" | "platform";

/** What the API servers read and write with. AKS keeps two; what is older can't be read any more. */
export interface KmsWindow {
  readonly write: KmsWriter;
  readonly previous: KmsWriter | undefined;
  /** The newer modes rewrite what is stored by themselves. */
  readonly rewrittenByPlatform: boolean;
}

export interface KmsCluster {
  /** Resolves when all API servers run with the window and can read what is stored; rejects when they do not come up. */
  configure(window: KmsWindow): Promise<void>;
  /** `az aks command invoke`: a shell in the cluster, with the files of a zip archive. */
  run(command: string, archive: Buffer | undefined): Promise<{ readonly exitCode: number; readonly logs: string }>;
  /** What listClusterUserCredential gives. */
  kubeconfig(): string;
  close(): Promise<void>;
}

export interface KmsClusterOptions {
  readonly id: string;
  readonly fqdn: string;
  /** Throws with Key Vault's own words when the plugin could not use the key, by the cluster's own network path. */
  readonly useKey: (key: KmsKey) => void;
}

export interface KmsClusters {
  /** Of a managed cluster that exists. */
  of(id: string): KmsCluster | undefined;
  open(options: KmsClusterOptions): KmsCluster;
  close(id: string): Promise<void>;
}

export type KmsClusterFactory = (options: KmsClusterOptions) => KmsCluster;

export function createKmsClusters(factory: KmsClusterFactory): KmsClusters {
  const clusters = new Map<string, KmsCluster>();
  return {
    of: (id) => clusters.get(id.toLowerCase()),
    open(options) {
      const cluster = factory(options);
      clusters.set(options.id.toLowerCase(), cluster);
      return cluster;
    },
    async close(id) {
      const cluster = clusters.get(id.toLowerCase());
      clusters.delete(id.toLowerCase());
      await cluster?.close();
    },
  };
}
